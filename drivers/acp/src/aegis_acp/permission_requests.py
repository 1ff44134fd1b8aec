"""What an agent asks permission for: each request is answered once, with an option it offered or `cancelled`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio

from aegis import Decision, PermissionRequest, Seat
from aegis.events import Event, Notice
from aegis_acp import options, v1
from aegis_acp.calls import Call
from aegis_acp.translate import Translator

_SHOWN = 200  # characters of a title


class PermissionRequests:
    """The requests of one session; outside a turn, and once that is cancelled, nobody is asked."""

    def __init__(self, seat: Seat, translator: Translator, say: Callable[[Sequence[Event]], None]) -> None:
        self._seat, self._translator, self._say = seat, translator, say
        self._open: set[tuple[trio.CancelScope, trio.Event]] = set()
        self._welcome = False
        self.refusals: list[str] = []  # what the agent was not told yet: the protocol has no field for a reason

    def begin(self) -> None:
        """Take requests: a turn begins."""
        self._welcome = True

    async def end(self) -> bool:
        """Take back whatever is open, return once all of it is answered, and say whether there was any."""
        self._welcome = False
        answered = [event for _, event in self._open]
        for scope, _ in self._open:
            scope.cancel()
        for event in answered:
            await event.wait()
        return bool(answered)

    async def answer(self, asked: v1.RequestPermissionRequest) -> dict[str, Any]:
        """Return the answer to a request, once somebody decided it."""
        if not self._welcome:
            return v1.CANCELLED
        call, events = self._translator.asked(asked.tool_call)
        self._say(events)
        scope, over = waiting = trio.CancelScope(), trio.Event()
        self._open.add(waiting)
        try:
            with scope:
                decision = await self._decide(call)
        finally:
            self._open.discard(waiting)
            over.set()
        return v1.CANCELLED if scope.cancelled_caught else self._chosen(decision, call, asked.options)

    async def _decide(self, call: Call) -> Decision:
        paths = {str((self._seat.cwd / path).resolve()): path for path in reversed(call.paths)}  # each file once
        named = tuple(reversed(paths.values()))
        return await self._seat.ask(
            PermissionRequest(call.id, call.name or call.kind, call.kind, call.title, call.shown, named)
        )

    def _chosen(self, decision: Decision, call: Call, offered: Sequence[v1.PermissionOption]) -> dict[str, Any]:
        chosen = options.chosen(decision, offered, ever=self._seat.profile.permission == "full")
        why = decision.reason
        if decision.allowed and not chosen:
            why = "the agent offers no way to allow this once"
            self._say([Notice(f"{call.name or call.kind} was not allowed: {why}", "warning", "aegis")])
        if not decision.allowed or not chosen:
            outcome = "denied" if decision.allowed else decision.outcome
            words = f"{outcome}: {why}" if why else outcome
            self._translator.refuse(call, words)
            self.refusals.append(f"Your request to use {call.name or call.kind} ({call.title[:_SHOWN]}) was {words}")
        return v1.selected(chosen) if chosen else v1.CANCELLED
