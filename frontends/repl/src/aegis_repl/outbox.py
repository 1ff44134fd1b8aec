"""Messages to agents, sent one after the other, so that they arrive in the order they were typed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from aegis.frontend import Client
from aegis_repl import render
from aegis_repl.render import Line
from aegis_repl.state import State


class Outbox:
    """Messages on their way. When there is no agent yet, one of the default profile is started."""

    def __init__(
        self, client: Client, state: State, say: Callable[[list[Line]], None], switch: Callable[[str], None]
    ) -> None:
        self._client, self._state, self._say, self._switch = client, state, say, switch
        self._put, self._words = trio.open_memory_channel[tuple[str, str]](inf)
        self._first = ""

    def put(self, text: str, handle: str = "") -> None:
        """Send this to an agent, by default the active one, or one that is started for it."""
        tab = self._state.tabs.get(self._state.active)
        self._put.send_nowait((handle or (tab.handle if tab else ""), text))

    async def run(self) -> None:
        """Send until cancelled."""
        async for handle, text in self._words:
            try:
                to = handle or await self._somebody()
                receipt = await self._client.call("send", {"handle": to, "text": text})
                here = self._state.tabs.get(self._state.active)
                if here and here.handle != to:  # a message to this tab is seen here
                    self._say(render.answer(receipt))
            except Exception as error:  # noqa: BLE001  a verb's fault is its answer, never the end of the screen
                self._say(render.refusal(error))

    async def _somebody(self) -> str:
        """Return the handle of the active agent, or of one that is started now."""
        if tab := self._state.tabs.get(self._state.active):
            return tab.handle
        if not self._state.awaited:
            agent = await self._client.call("spawn", {})
            self._first = str(agent["handle"])
            self._switch(str(agent["id"]))
        return self._first
