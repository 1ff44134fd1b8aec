"""Registries whose entries have owners."""
