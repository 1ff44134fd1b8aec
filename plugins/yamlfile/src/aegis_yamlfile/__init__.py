"""YAML files that people write: read with the line of every key, edited with comments kept, replaced all at once."""
