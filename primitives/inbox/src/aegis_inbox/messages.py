"""A message as callers see it, and the envelope that carries what a caller says."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from aegis import Caller, Envelope, Kernel, Receipt, Refused

LONGEST = 1_000_000  # characters: more than any model reads in a turn
PERSON = frozenset({"human", "person", "user"})  # what a handoff to the person is addressed to


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message and what became of it."""

    id: str
    sender: str
    recipient: str
    state: str
    body: str
    at: str
    outcome: str = ""
    reason: str = ""
    in_reply_to: str = ""
    trace: str = ""
    task_id: str = ""
    status: str = ""

    @property
    def head(self) -> str:
        """Who wrote when, and which task ended how if that is what it says."""
        task = (f"task#{self.task_id}", self.status) if self.task_id else ()
        return " · ".join(filter(None, (f"✉ from {self.sender}", *task, self.at, self.id)))


class Undelivered(Receipt, frozen=True, omit_defaults=True):
    """The receipt of an envelope that is a dead letter: its recipient was closed while it was stored."""

    exit_code: ClassVar[int] = 1


def told(receipt: Receipt) -> Receipt:
    """Return the receipt; that of a dead letter lets a shell fail."""
    return Undelivered(**msgspec.structs.asdict(receipt)) if receipt.state == "dead" else receipt


class WholeMessages(list[Message]):
    """Messages to be read, whole: a table would cut what is then counted as seen. So many `more` wait."""

    more, kept = 0, False

    def __str__(self) -> str:
        again = f"message inbox --keep --after {self[-1].id}" if self.kept and self else "message inbox"
        more = [f"({self.more:,} more wait; `{again}` shows the next)"] if self.more else []
        return "\n\n".join([*(f"{m.head}\n{m.body}" for m in self), *more])


def envelope_of(
    kernel: Kernel, caller: Caller, recipient: str, body: str, *, interrupt: bool = False, reply: str = ""
) -> Envelope:
    """Return the caller's envelope: its name, its trace, one hop further when it is an agent."""
    more = {"trace": caller.trace} if caller.trace else {}
    answered = caller.class_ == "person" or caller.kind in kernel.post.carriers  # others have nobody who reads
    return kernel.post.envelope(
        str(caller),
        recipient,
        body,
        sender_id=caller.agent_id or (str(caller) if answered else ""),
        hops=caller.hops + (caller.class_ == "agent"),
        urgency="interrupt" if interrupt else "next_turn",
        in_reply_to=reply,
        **more,
    )


def check_body(body: str, empty: str) -> None:
    """Raise `Refused` for a body without a word (`empty` says why that is no use), and for one that is too long."""
    if not body.strip():
        raise Refused(empty)
    if len(body) > LONGEST:
        raise Refused(f"{len(body):,} characters are too many for a message (at most {LONGEST:,}); "
                      "put them in a file and hand over its path")  # fmt: skip
