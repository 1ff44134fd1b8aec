"""How much of everything agents may do, so that none can stop aegis or the others."""
