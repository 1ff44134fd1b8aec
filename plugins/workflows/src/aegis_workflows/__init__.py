"""Workflows that come with aegis."""
