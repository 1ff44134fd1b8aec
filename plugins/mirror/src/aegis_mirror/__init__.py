"""The mirror: what the ledger holds, as JSON lines that people can grep and tail."""
