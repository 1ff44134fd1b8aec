"""JSON-RPC 2.0 over newline-delimited JSON, on trio, and how to read JSON that another process wrote."""
