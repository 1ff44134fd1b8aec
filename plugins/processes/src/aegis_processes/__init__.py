"""Running commands on trio so that nothing is left of them, and waiting that outlives a cancellation."""
