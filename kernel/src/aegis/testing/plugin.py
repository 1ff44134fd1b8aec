"""What pytest learns from aegis: the fixtures of the kit."""
