"""How long aegis keeps what is over, and how large its state may be."""
