"""Permission requests of agents: answered by the profile's mode and by rules where they can, else by a person."""
