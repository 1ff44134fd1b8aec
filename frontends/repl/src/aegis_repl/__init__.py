"""A prompt at the bottom, the agents' transcripts above it."""
