"""What a typed function takes: its arguments checked, as a schema, and as JSON."""
