"""Records: transcripts of agents, and what the ledger holds, as JSON lines that people can grep and tail."""
