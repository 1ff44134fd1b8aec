"""An agent's open permission requests, and how a typed line answers one: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aegis import events as e
from aegis.errors import Refused
from aegis_repl import render

SEEN = 1.0  # seconds after which a person may have read a request, and an answer may be meant for it


@dataclass(frozen=True, slots=True)
class Answer:
    """A verb and its arguments, for the request `call`."""

    call: str
    verb: str
    args: dict[str, Any]


@dataclass(slots=True)
class PermissionRequests:
    """The open requests of one agent, oldest first; times are those of the state's clock."""

    _open: dict[str, tuple[e.PermissionAsked, float]] = field(default_factory=dict)
    _answered: set[str] = field(default_factory=set)  # by this person, and not heard of yet
    _gone: str = ""  # the last one that others answered, until the person types something
    _moved: float = float("-inf")  # when the next request took the place of one that others answered

    def load(self, asking: Iterable[Any], now: float) -> None:
        """Know these requests and no others, as the kernel gives them."""
        asked = (e.decode({"t": "PermissionAsked", **one}) for one in asking)
        known = {one.id: one for one in asked if isinstance(one, e.PermissionAsked)}
        self._open = {call: self._open.get(call, (one, now)) for call, one in known.items()}
        self._answered &= self._open.keys()

    def ask(self, asked: e.PermissionAsked, now: float) -> None:
        """Add a request."""
        self._open[asked.id] = (asked, now)

    def end(self, ended: e.PermissionAnswered, now: float) -> list[render.Line]:
        """Remove a request that ended; return what to say of one that a person may have been about to answer."""
        first = self.first
        asked, since = self._open.pop(ended.id, (None, now))
        if ended.id in self._answered or asked is None or now - since < SEEN:  # a rule answers at once
            self._answered.discard(ended.id)
            return []
        self._gone = f"{render.wants(asked)} ({render.outcome(ended)})"
        if asked is first:
            self._moved = now
        return [[("class:dim", f"· no longer asked: {self._gone}")]]

    @property
    def waiting(self) -> list[e.PermissionAsked]:
        """The requests that wait for this person, in order."""
        return [asked for call, (asked, _) in self._open.items() if call not in self._answered]

    @property
    def first(self) -> e.PermissionAsked | None:
        """The request that is shown."""
        return next(iter(self.waiting), None)

    @property
    def text(self) -> str:
        """The request that is shown, in words."""
        count = len(self.waiting)
        return f"asks to use {render.wants(self.waiting[0])}{f' (1 of {count})' if count > 1 else ''}" if count else ""

    def answer(self, line: str, now: float) -> Answer | None:
        """Return the answer that a typed line is, None when it is no answer.

        Raises `Refused` when the request it must have been meant for is not the one that is shown now.
        """
        gone, self._gone = self._gone, ""
        word, _, why = line.partition(" ")
        why = why.strip()
        if word not in ("y", "a", "n") or (why and word != "n") or not (self.first or gone):
            return None
        if self.first is None:
            raise Refused(f"that answers nothing any more: {gone}; type it again to send it to the agent")
        if now - self._moved < SEEN:
            raise Refused(f"the question has just changed: now it {self.text}")
        self._answered.add(call := self.first.id)
        args: dict[str, Any] = {"request": call}
        args |= {"always": True} if word == "a" else {"reason": why} if why else {}
        return Answer(call, "approvals deny" if word == "n" else "approvals allow", args)

    def again(self, call: str) -> None:
        """Ask this again, because the answer was not taken."""
        self._answered.discard(call)
