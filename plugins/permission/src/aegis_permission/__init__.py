"""What an agent may do without a person; a library that knows nothing of aegis."""
