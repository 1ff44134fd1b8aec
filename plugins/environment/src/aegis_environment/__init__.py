"""Which variables and secrets the CLIs get that aegis starts."""
