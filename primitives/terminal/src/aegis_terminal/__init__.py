"""Shells that agents and people share."""
