"""Agents reach every verb as an MCP tool, each with its own secret."""
