"""Groups: one question to many agents, and their answers as one value."""
