"""What a seat's folder keeps of its session, for the next one that sits there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aegis import Seat
from aegis_acp.values import amount, mapping, text


@dataclass(slots=True)
class Past:
    """The last session: `opened` is the time, in seconds since the epoch, `told` whether it ever had a turn."""

    file: Path
    session_id: str = ""
    opened: float = 0.0
    told: bool = False

    @classmethod
    def of(cls, seat: Seat) -> Past:
        """Return what is kept; an empty past when nothing is, or when it cannot be read."""
        file = seat.folder / "acp.json"
        try:
            kept = mapping(json.loads(file.read_text()))
        except (OSError, ValueError, RecursionError):
            return cls(file)
        return cls(file, text(kept.get("session_id")), amount(kept.get("opened")) or 0.0, kept.get("told") is True)

    def keep(self) -> None:
        """Write it down."""
        self.file.write_text(json.dumps({"session_id": self.session_id, "opened": self.opened, "told": self.told}))
