"""QueueVerbs: work that agents and people hand over, done by workers on demand, each task with exactly one end."""
