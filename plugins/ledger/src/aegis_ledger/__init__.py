"""Durable books in one SQLite file: what was appended is on disk, what belongs together is stored together."""
