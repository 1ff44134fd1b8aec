"""An agent's side of ACP as a process that follows a script: `python -m aegis_acp.testing --script FILE`."""
