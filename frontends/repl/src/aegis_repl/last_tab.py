"""The tab that was active when this project's REPL was last quit."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from aegis import AegisError
from aegis.project import Project

_FILE = "repl.json"


class LastTab:
    """Kept in the project's state folder, best effort: without it the first tab is active."""

    def __init__(self, root: Path) -> None:
        self._project, self._kept = Project(root), ""

    def load(self) -> str:
        """Return the agent's id, empty when it is not known."""
        with suppress(OSError, ValueError, AttributeError, AegisError), self._project.folder() as state:
            self._kept = str(json.loads(state.read(_FILE, 4096)).get("active", ""))
        return self._kept

    def keep(self, agent_id: str) -> None:
        """Remember this agent's tab."""
        if agent_id and agent_id != self._kept:
            self._kept = agent_id
            with suppress(OSError, AegisError), self._project.folder() as state:
                state.replace(_FILE, json.dumps({"active": agent_id}).encode())
