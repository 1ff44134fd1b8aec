"""Which content of a folder a person trusts; a library that knows nothing of aegis."""
