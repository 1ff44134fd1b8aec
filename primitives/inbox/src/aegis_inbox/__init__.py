"""Agents hand work to one another, and can ask what became of it."""
