"""Gemini CLI, driven as an agent of aegis."""
