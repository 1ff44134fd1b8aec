"""Shared Markdown documents that agents and people write section by section."""
