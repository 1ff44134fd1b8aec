"""The book `schedule`, keyed by a schedule's name, and the state of each schedule as it describes it.

`entered` (with who wrote the entry) → for each time `fire_requested`, `began`, then `fire_completed`, `fire_failed` or
`skipped`; `queued` for one that waits for the one before it; `skipped` alone for times at which nothing was begun;
`removed`. What a record says was due is never due again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from aegis import Caller, Kernel
from aegis.ledger import Record

EXCERPT = 500  # characters of a result that are kept


class Fire(msgspec.Struct, frozen=True):
    """One beginning: `due` is the ISO time it is for, `run` the workflow's run once there is one."""

    fire: str
    due: str
    at: str = ""
    manual: bool = False
    backfilled: bool = False
    by: Caller | None = None
    run: str = ""


class State(msgspec.Struct):
    """What is known of a schedule: `since` is the ISO time up to which everything due was dealt with."""

    name: str
    digest: str = ""
    since: str = ""
    author: Caller | None = None
    enabled: bool = True
    fires: int = 0
    by_hand: int = 0
    skips: int = 0
    last_fire: str = ""
    last_status: str = ""
    last_error: str = ""
    last_completed_at: str = ""
    running: dict[str, Fire] = {}
    queued: list[Fire] = []

    @property
    def begun(self) -> int:
        """How often it has begun by itself, with what is under way or waits."""
        return self.fires + sum(not fire.manual for fire in (*self.running.values(), *self.queued))


class Store:
    """The state of every schedule that is in the configuration, or has something under way."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self.book = kernel, kernel.ledger.book("schedule")
        self.states: dict[str, State] = {}

    def restore(self) -> None:
        """Rebuild the states."""
        self.book.fold(self._begin, self._apply, self._state, ends=None)

    def _begin(self, snapshot: Any) -> None:
        self.states = {name: msgspec.convert(state, State) for name, state in snapshot.items()}

    def _state(self) -> Any:
        return {name: msgspec.to_builtins(state) for name, state in self.states.items()}

    def state(self, name: str) -> State:
        """Return what is known of a schedule."""
        return self.states.get(name) or State(name)

    def _apply(self, record: Record) -> None:
        state, data = self.states.setdefault(record.key, State(record.key)), record.data
        match record.kind:
            case "entered":
                state.digest, state.since = data["digest"], data.get("since") or state.since
                state.author = msgspec.convert(data["by"], Caller) if data.get("by") else None
                state.enabled = data.get("enabled", True)
            case "removed":
                state.digest, state.queued = "", []
            case "queued":
                state.queued.append(msgspec.convert(data, Fire))
                state.since = max(state.since, data["due"])
            case "fire_requested":
                fire = msgspec.convert({**data, "at": record.at}, Fire)
                state.running[fire.fire] = fire
                state.queued = [waits for waits in state.queued if waits.fire != fire.fire]
                state.last_fire = record.at
                if not fire.manual:
                    state.since = max(state.since, fire.due)
            case "began" if begun := state.running.get(data["fire"]):
                state.running[begun.fire] = msgspec.structs.replace(begun, run=data["run"])
            case "fire_completed" | "fire_failed" if over := state.running.pop(data["fire"], None):
                state.fires += not over.manual
                state.by_hand += over.manual
                state.last_status, state.last_error = data["status"], data.get("error", "")
                state.last_completed_at = record.at
            case "skipped":
                state.running.pop(data.get("fire", ""), None)
                state.queued = [waits for waits in state.queued if waits.fire != data.get("fire")]
                state.skips += data.get("count", 1)
                state.since = max(state.since, data["due"])
        if not (state.digest or state.running or state.queued):
            self.states.pop(record.key, None)

    async def append(self, kind: str, name: str, **data: Any) -> None:
        """Store one record."""
        await self.book.append(kind, name, **msgspec.to_builtins(data))

    async def append_all(self, records: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        """Store many in one write: kind, name, and what it says."""
        drafts = [self.book.draft(kind, name, **msgspec.to_builtins(data)) for kind, name, data in records]
        if drafts:
            await self._kernel.ledger.append(*drafts)

    def records(self, name: str, count: int) -> list[Record]:
        """Return the newest records of a schedule, oldest first."""
        query = "book=? and key=? order by seq desc limit ?"
        return [*self._kernel.ledger.select(query, self.book.name, name, count)][::-1]
