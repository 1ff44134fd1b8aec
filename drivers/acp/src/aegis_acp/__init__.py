"""Every agent that speaks the Agent Client Protocol, driven as an agent of aegis."""
