"""A fake `claude`, a process that follows a script over stream-json: `python -m aegis_claude.testing --script FILE`."""
