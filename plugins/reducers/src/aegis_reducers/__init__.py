"""Ways to make one value of many answers."""
