"""Agents and people throw dice."""
