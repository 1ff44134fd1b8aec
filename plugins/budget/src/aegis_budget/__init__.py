"""Budgets: caps on dollars and output tokens in rolling windows, held before, in and after each turn."""
