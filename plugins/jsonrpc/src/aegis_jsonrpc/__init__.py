"""JSON-RPC 2.0 over newline-delimited JSON, on trio: what the control socket and agents of ACP have in common."""
