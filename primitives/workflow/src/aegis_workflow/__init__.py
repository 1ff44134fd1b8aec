"""Workflows: procedures in Python whose every step is kept, so that they go on by themselves after a crash."""
