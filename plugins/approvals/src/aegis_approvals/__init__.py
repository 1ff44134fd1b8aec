"""Permission requests of agents: answered by the profile's mode where it can, else by a person."""
