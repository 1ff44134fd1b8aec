"""What was said and what became of it: how the book of mail is read, whose form is nobody else's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from aegis.envelope import Envelope, Receipt
from aegis.errors import NotFound
from aegis.events import TurnEnded
from aegis.ledger import Ledger, Record
from aegis.mailbox import Letter


class TurnRecord(msgspec.Struct, frozen=True):
    """A turn that is over: whose it was and how it ended; `seq` is the number of its record."""

    agent: str
    ended: TurnEnded
    seq: int


class MailHistory:
    """The stored side of the post."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._book = ledger, ledger.book("mail")
        self._letters: dict[str, Letter] = {}  # those not done with
        self._known = 0  # the last record that is in there

    def label(self, address: str) -> str:
        """Return what a recipient is called in receipts."""
        raise NotImplementedError

    def find(self, envelope_id: str) -> tuple[Envelope, Receipt]:
        """Return an envelope and what became of it; raises `NotFound`."""
        records = self._book.find(envelope_id)
        if not records or records[0].kind != "accepted":
            raise NotFound(f"there is no message {envelope_id!r}")
        return self._fate(records)

    def end_of(self, envelope_id: str) -> TurnEnded | None:
        """Return how the turn of an envelope ended, None as long as it has not; raises `NotFound`."""
        self.find(envelope_id)
        last = self._book.find(envelope_id)[-1]
        past = self.turn(str(last.data.get("turn", "")))
        return past.ended if past else how_ended(last, None) if last.kind in ("ended", "dead", "read") else None

    def turn(self, turn_id: str) -> TurnRecord | None:
        """Return the turn of this id once it is over."""
        return next((_turn_record(r) for r in reversed(self._book.find(turn_id)) if r.kind == "turn"), None)

    async def turns(self, agent: str = "", count: int = 1_000_000, since: int = 0) -> list[TurnRecord]:
        """Return the newest turns that are over, newest first: of one agent, after a record, if these are given."""
        whose, args = (" and json_extract(cast(data as text), '$.agent')=?", (agent,)) if agent else ("", ())
        where = f"book='mail' and kind='turn' and seq>?{whose} order by seq desc limit ?"
        return await self._ledger.aside(lambda select: [_turn_record(r) for r in select(where, since, *args, count)])

    async def newest(self, count: int, *, begins: str = "", dead: bool = False) -> list[tuple[Envelope, Receipt]]:
        """Return the newest messages (whose ids begin so; or dead letters), each with its fate, newest first."""
        named, args = (" and key>=? and key<?", (begins, begins + "\U0010ffff")) if begins else ("", ())
        where = f"book='mail' and kind=? and seq<=?{named} order by seq desc limit ?"
        # With the sign SQLite finds them by their keys, and walks through no whole book for their order.
        about = f"book='mail' and key in (select key from records where {where}) order by +seq"
        wanted = ("dead" if dead else "accepted", self._known, *args, count)

        def work(select: Callable[..., Iterator[Record]]) -> list[tuple[Envelope, Receipt]]:
            found: dict[str, list[Record]] = {record.key: [] for record in select(where, *wanted)}
            for record in select(about, *wanted):
                found[record.key].append(record)
            return [self._fate(records) for records in found.values()]

        return await self._ledger.aside(work)

    async def heard_from(self, one: str, others: Sequence[str]) -> bool:
        """Return whether one of the others has written to this agent."""
        sender, to = (f"json_extract(cast(data as text), '$.{name}')" for name in ("sender_id", "recipient"))
        where = f"book='mail' and kind='accepted' and {to}=? and {sender} in ({','.join('?' * len(others))})"
        return await self._ledger.aside(lambda select: any(select(f"{where} limit 1", one, *others)))

    def _fate(self, records: list[Record]) -> tuple[Envelope, Receipt]:
        envelope, last = msgspec.convert(records[0].data, Envelope), records[-1]
        seen = ":" in envelope.recipient and envelope.id not in self._letters  # with others, so by another's record
        state: Any = "ended" if last.kind == "read" or (seen and last.kind == "accepted") else last.kind
        more = {} if last is records[0] else {k: last.data.get(k, "") for k in ("outcome", "reason", "turn")}
        return envelope, Receipt(envelope.id, self.label(envelope.recipient), state, **more)


def _turn_record(record: Record) -> TurnRecord:
    return TurnRecord(record.data["agent"], msgspec.convert(record.data, TurnEnded), record.seq)


def how_ended(record: Record, last: Record | None) -> TurnEnded:
    """Return how the turn of a letter ended, from its last record and the turn that ended last."""
    turn, reason = record.data.get("turn", ""), record.data.get("reason", "")
    if last and last.key == turn:
        return msgspec.convert(last.data, TurnEnded)
    if record.kind == "dead":
        return TurnEnded("failed", reason=f"dead letter: {reason}")
    return TurnEnded(record.data.get("outcome", "completed"), turn, reason=reason)
