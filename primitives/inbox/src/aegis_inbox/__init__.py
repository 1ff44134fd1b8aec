"""The inbox: agents and people hand one another context, and see what became of it."""
