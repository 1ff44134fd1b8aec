"""What was spent and what is reserved: book `budget`, and the state that is its fold.

`reserved` (key: a turn, or `task:…` for the first turn of a task) → `spent` or `released`; `spent` (key: a turn) also
where nothing was reserved; `handed` (key: a queue) are the budgets the queue was given in its own section.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import ceil
from typing import Any

import msgspec
import trio

from aegis import Kernel, LedgerError
from aegis.ledger import Draft, Record
from aegis.mail_history import TurnRecord
from aegis_budget.settings import Unit
from aegis_budget.tally import Tally

WEEKS = 5 * 7 * 86_400  # seconds: a budget that is added later knows as much of the past
TASK = "task:"


class Reservation(msgspec.Struct, frozen=True):
    """What is held for one turn, or for a task until its first turn; `step_…` is the most it may overshoot by."""

    scopes: tuple[str, ...]
    usd: Decimal
    output_tokens: Decimal
    step_usd: Decimal | None = None
    step_output_tokens: Decimal | None = None
    agent: str = ""
    took: str = ""

    def of(self, unit: Unit) -> Decimal:
        """Return what is held of this."""
        return self.usd if unit == "usd" else self.output_tokens

    def step(self, unit: Unit) -> Decimal | None:
        """Return by how much it may be passed before that is seen and stopped; None when nothing limits it."""
        return self.step_usd if unit == "usd" else self.step_output_tokens


class Account:
    """The books of a project. Time never goes back here, and goes on at life's pace: what has left a window stays out.

    When the computer's clock is set back, this one goes on from where it was.
    """

    def __init__(self, kernel: Kernel, longest: int) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("budget")
        self._keep = max(WEEKS, longest)
        self._tallies: dict[str, Tally] = {}
        self.open: dict[str, Reservation] = {}
        self.handed: dict[str, list[dict[str, Any]]] = {}
        self._newest = self._settled = 0
        self._seen, self._at = 0.0, trio.current_time()
        self._begun = next((r.seq for r in kernel.ledger.select("true order by seq desc limit 1")), 0)
        self.moved = trio.Event()  # set, and replaced, when something that was reserved is spent or given back
        self._book.fold(self._begin, self._apply, self._state, ends=("spent", "released", "settled"))

    # -- the fold -----------------------------------------------------------------------------------------------

    def _begin(self, snapshot: Any) -> None:
        from_slots = {scope: Tally(slots) for scope, slots in snapshot["tallies"].items()}
        self._tallies, self.handed = from_slots, snapshot["handed"]
        self.open = msgspec.convert(snapshot["open"], dict[str, Reservation])
        self._newest, self._settled = snapshot["newest"], snapshot["settled"]

    def _state(self) -> Any:
        tallies = {scope: tally.slots() for scope, tally in self._tallies.items()}
        state = {"tallies": tallies, "open": msgspec.to_builtins(self.open), "handed": self.handed}
        return state | {"newest": self._newest, "settled": self._settled}

    def _apply(self, record: Record) -> None:
        data = record.data
        match record.kind:
            case "reserved":
                held = msgspec.convert(data, Reservation)
                self._newest = max(self._newest, data.get("when", 0))  # it was let in by what had left its window then
                self.open.pop(held.took, None)
                self.open[record.key] = held
            case "released":
                self._free(record.key)
            case "handed":
                self.handed[record.key] = data["budgets"]
            case "settled":
                self._settled = record.seq
            case "spent":
                self._free(record.key)
                self._newest = max(self._newest, data["when"])
                for scope in data["scopes"]:
                    tally = self._tallies.setdefault(scope, Tally())
                    tally.add(self._newest, Decimal(data["usd"]), int(data["output_tokens"]), self._keep)

    def _free(self, key: str) -> None:
        self.open.pop(key, None)
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits for room look again."""
        self.moved.set()
        self.moved = trio.Event()

    # -- reading ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time of the budgets, in seconds of the epoch; it never goes back, and never stands still."""
        at = trio.current_time()
        self._seen = max(self._kernel.clock.now().timestamp(), self._newest, self._seen + at - self._at)
        self._at = at
        return self._seen

    def tally(self, scope: str) -> Tally:
        """Return what a scope spent."""
        return self._tallies.get(scope) or Tally()

    def holds(self, scope: str) -> list[Reservation]:
        """Return the reservations in a scope."""
        return [held for held in self.open.values() if scope in held.scopes]

    def reserved(self, scope: str, unit: Unit) -> Decimal:
        """Return what is held in a scope."""
        return sum((held.of(unit) for held in self.holds(scope)), Decimal(0))

    def newest(self, count: int) -> list[Record]:
        """Return the spendings recorded last, the newest first."""
        return self._book.newest("spent", count)

    def since(self, seconds: int) -> Iterable[Record]:
        """Yield the spendings of the last so many seconds, oldest first."""
        where = "book='budget' and kind='spent' and json_extract(cast(data as text), '$.when') > ? order by seq"
        return self._kernel.ledger.select(where, self.now() - seconds)

    async def unsettled(self) -> list[TurnRecord]:
        """Return the turns that ended since the last start and before this one, of which nothing was written here."""
        turns = [t for t in await self._kernel.post.turns(since=self._settled) if t.seq <= self._begun]
        where = "book='budget' and kind='spent' and seq>?"
        spent = await self._kernel.ledger.aside(lambda select: {r.key for r in select(where, self._settled)})
        return [turn for turn in turns[::-1] if turn.ended.turn not in spent]

    # -- writing ------------------------------------------------------------------------------------------------

    async def reserve(self, key: str, held: Reservation) -> None:
        """Hold this from now on, durably when this returns; raises `LedgerError`, and then nothing is held."""
        before, taken = self.open.get(key), self.open.pop(held.took, None)
        self.open[key] = held  # at once: whoever asks while the disk works must see it
        try:
            await self._book.append("reserved", key, when=self.now(), **msgspec.to_builtins(held))
        except LedgerError:
            self.open.pop(key, None)
            self.open |= {k: r for k, r in ((key, before), (held.took, taken)) if r}
            raise

    async def release(self, *keys: str) -> None:
        """Hold these no more; what is not held stays as it is."""
        if known := [key for key in keys if key in self.open]:
            await self._kernel.ledger.append(*(self._book.draft("released", key) for key in known))

    def spending(self, key: str, usd: Decimal, output_tokens: int, scopes: tuple[str, ...], **more: Any) -> Draft:
        """Return the record of what a turn spent, to be stored; what was held for it is then free."""
        when = ceil(self.now())  # never earlier than it was, so that it never leaves a window too early
        data = {"usd": str(usd), "output_tokens": output_tokens, "scopes": scopes, "when": when}
        return self._book.draft("spent", key, **data, **more)

    async def write(self, *drafts: Draft) -> None:
        """Store records, all or none."""
        await self._kernel.ledger.append(*drafts)

    def note(self, draft: Draft) -> None:
        """Have a record stored soon; what a crash forgets of it the next start finds in the turns that are over."""
        self._kernel.ledger.ride(draft)

    async def settle(self, *drafts: Draft) -> None:
        """Store what was found at a start, and that every turn up to then is in the book."""
        if drafts or self._begun > self._settled:
            await self._kernel.ledger.append(*drafts, self._book.draft("settled", "start"))

    async def hand(self, queue: str, budgets: list[dict[str, Any]]) -> None:
        """Remember the budgets that a queue was given in its own section."""
        if self.handed.get(queue, []) != budgets:
            await self._book.append("handed", queue, budgets=budgets)
