"""A primitive, to be described in one sentence."""
