"""Every verb from the shell."""
