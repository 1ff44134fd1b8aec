"""What is said to agents, sent one after the other, so that it arrives in the order it was typed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from aegis.errors import Refused
from aegis.frontend import Client
from aegis_repl import render
from aegis_repl.render import Line
from aegis_repl.state import State


class Outbox:
    """Words on their way. Where nobody is to say them to, an agent of the default profile begins."""

    def __init__(
        self, client: Client, state: State, say: Callable[[list[Line]], None], switch: Callable[[str], None]
    ) -> None:
        self._client, self._state, self._say, self._switch = client, state, say, switch
        self._put, self._words = trio.open_memory_channel[tuple[str, str]](inf)
        self._first = ""

    def put(self, text: str, handle: str = "") -> None:
        """Say this to an agent, the active one when none is named; raises `Refused` when there can be none."""
        tab = self._state.tabs.get(self._state.active)
        if not (handle or tab or self._state.default_agent):
            raise Refused("there is no agent to say this to: Ctrl+N starts one, /spawn PROFILE one of your choice")
        self._put.send_nowait((handle or (tab.handle if tab else ""), text))

    async def run(self) -> None:
        """Send until cancelled."""
        async for handle, text in self._words:
            try:
                to = handle or await self._somebody()
                receipt = await self._client.call("send", {"handle": to, "text": text})
                here = self._state.tabs.get(self._state.active)
                if here and here.handle != to:  # what is said here is seen here
                    self._say(render.answer(receipt))
            except Exception as error:  # noqa: BLE001  a verb's fault is its answer, never the end of the screen
                self._say(render.refusal(error))

    async def _somebody(self) -> str:
        """Return the handle of who is here by now, or of an agent that begins."""
        if tab := self._state.tabs.get(self._state.active):
            return tab.handle
        if not self._state.awaited:
            face = await self._client.call("spawn", {"agent": self._state.default_agent})
            self._first = str(face["handle"])
            self._switch(str(face["id"]))
        return self._first
