"""What is said to an agent or a person, and what the sender gets back."""

from __future__ import annotations

from typing import Literal

import msgspec

Urgency = Literal["next_turn", "interrupt"]
State = Literal["accepted", "injected", "ended", "dead"]


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message: `sender` is an address (`agent:lucid-knuth`), `recipient` an agent's id or `human:<user>`."""

    id: str
    sender: str
    recipient: str
    at: str
    body: str
    urgency: Urgency = "next_turn"
    in_reply_to: str = ""
    hops: int = 0
    trace: str = ""
    task_id: str = ""
    status: str = ""
    sender_id: str = ""

    def header(self, mark: str = ">") -> str:
        """Return the header of the reference as one line: sender, task and status when there is one, time."""
        task = (f"task#{self.task_id}", self.status) if self.task_id else ()
        return " ".join(f"{mark} from {' · '.join(filter(None, (self.sender, *task, self.at)))}".split())

    def rendered(self) -> str:
        """Return what the agent reads: header, id (so that a repeat can be recognised), the body indented."""
        reply = f" · in reply to {self.in_reply_to}" if self.in_reply_to else ""
        return f"{self.header()}\n{' '.join(f'> id {self.id}{reply}'.split())}\n{indented(self.body)}"

    def short(self, lines: int = 4) -> str:
        """Return what a person reads: `✉ from agent:x · 17:42:03Z` and the first lines of the body."""
        body = indented(self.body).splitlines()
        more = [f"  … ({len(body) - lines} more lines)"] if len(body) > lines else []
        head = self.header("✉").replace(self.at, self.at[11:])
        return "\n".join([head, *body[:lines], *more])


def indented(body: str) -> str:
    """Return the body with every line moved in by two spaces: none can begin as a header does, whatever it imitates."""
    return "\n".join(line and f"  {line}" for line in body.splitlines())


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """Proof that an envelope is on disk; position 0 means that it wakes its recipient now."""

    id: str
    recipient: str
    state: State
    position: int = 0
    outcome: str = ""
    reason: str = ""
    turn: str = ""

    def __str__(self) -> str:
        if self.state == "dead":
            return f"dead letter {self.id} for {self.recipient}: {self.reason}"
        if self.state == "ended":
            return f"turn of {self.recipient} {self.outcome}" + (f": {self.reason}" if self.reason else "")
        if self.reason:
            return f"kept for {self.recipient}: it {self.reason}"
        if self.position:
            return f"queued for {self.recipient} (position {self.position})"
        return f"landed at {self.recipient}"
