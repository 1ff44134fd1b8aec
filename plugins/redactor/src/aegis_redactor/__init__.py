"""Values that must not be said, cut out of text, data and JSON."""
