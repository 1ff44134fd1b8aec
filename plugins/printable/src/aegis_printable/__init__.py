"""Text as a screen may show it."""
