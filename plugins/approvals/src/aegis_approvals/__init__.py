"""A person answers the permission requests of agents."""
