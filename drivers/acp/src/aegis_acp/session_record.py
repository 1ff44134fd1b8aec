"""What a seat's folder keeps of its session, for the next one that sits there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aegis import Seat
from aegis_jsonrpc.values import amount, mapping, text


@dataclass(slots=True)
class SessionRecord:
    """The last session: `opened` is the time, in seconds since the epoch, `told` whether it ever had a turn, `paid`
    what it said that it cost, None when it is not known."""

    file: Path
    session_id: str = ""
    opened: float = 0.0
    told: bool = False
    paid: float | None = None

    @classmethod
    def of(cls, seat: Seat) -> SessionRecord:
        """Return what is kept; an empty record when nothing is, or when it cannot be read."""
        file = seat.folder / "acp.json"
        try:
            kept = mapping(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError):
            return cls(file)
        opened, told = amount(kept.get("opened")) or 0.0, kept.get("told") is True
        return cls(file, text(kept.get("session_id")), opened, told, amount(kept.get("paid")))

    def begin(self, session_id: str, opened: float, *, resumed: bool) -> None:
        """Be the record of this session from now on."""
        if not resumed:
            self.told, self.paid = False, 0.0
        elif self.session_id != session_id:
            self.told, self.paid = True, None
        self.session_id, self.opened = session_id, opened
        self.keep()

    def keep(self) -> None:
        """Write it down."""
        known = {"session_id": self.session_id, "opened": self.opened, "told": self.told, "paid": self.paid}
        self.file.write_text(json.dumps(known), encoding="utf-8")
