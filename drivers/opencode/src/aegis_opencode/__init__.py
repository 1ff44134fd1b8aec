"""OpenCode, driven as an agent of aegis."""
