"""The tab that was active when this project's REPL was last quit."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path


class LastTab:
    """Kept in the project's state folder, best effort: without it the first tab is active."""

    def __init__(self, root: Path) -> None:
        self._file, self._kept = root / ".aegis" / "state" / "repl.json", ""

    def load(self) -> str:
        """Return the agent's id, empty when it is not known."""
        with suppress(OSError, ValueError, AttributeError):
            self._kept = str(json.loads(self._file.read_text(encoding="utf-8")).get("active", ""))
        return self._kept

    def keep(self, agent_id: str) -> None:
        """Remember this agent's tab."""
        if agent_id and agent_id != self._kept:
            self._kept = agent_id
            with suppress(OSError):
                new = self._file.with_suffix(".new")
                new.write_text(json.dumps({"active": agent_id}), encoding="utf-8")
                new.replace(self._file)
