"""Patterns and JSON schemas that agents and models write: judged in linear time, or in a child with a deadline."""
