"""A numbered stream whose newest part is kept, and subscribers with bounded buffers."""
