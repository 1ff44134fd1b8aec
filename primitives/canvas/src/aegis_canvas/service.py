"""What runs as long as the kernel: canvases are restored, their files watched, and agents that are gone forgotten."""

from __future__ import annotations

from collections.abc import Awaitable

import trio

from aegis import Kernel, finish_despite_cancel
from aegis.ledger import Draft
from aegis.registry import owner
from aegis_canvas.seen import Seen
from aegis_canvas.store import Canvas, Store
from aegis_canvas.teller import Teller
from aegis_canvas.watcher import Watcher
from aegis_canvas.writer import Writer


class CanvasService:
    """Keeps the book of canvases true; it is also the interceptor that hears of agents that closed."""

    name = "service"

    def __init__(
        self, kernel: Kernel, store: Store, writer: Writer, seen: Seen, watcher: Watcher, teller: Teller
    ) -> None:  # fmt: skip
        self._kernel, self._store, self._writer, self._seen = kernel, store, writer, seen
        self._watcher, self._teller = watcher, teller

    def restore(self) -> None:
        """Rebuild what is known of canvases."""
        self._store.restore()

    async def run(self) -> None:
        """Watch the files; first end what agents had that closed while aegis was not running."""
        living = {agent.id for agent in self._kernel.roster}
        known = {who for canvas in self._store.canvases.values() for who in canvas.people}
        await self._forget(self._of_those({who for who in known if self._is_gone(who, living)}))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._teller.run)
                nursery.start_soon(self._writer.run)
                await self._watcher.run()
        finally:
            async with finish_despite_cancel():
                if self._kernel.supervisor.is_leaving(owner.get()):  # another writer may come with the plugin, and soon
                    await self._writer.stop()
                await self._teller.tell_all()

    def agent_closed(self, agent_id: str) -> Awaitable[None] | None:
        """End the subscriptions and the claims of an agent that closed."""
        self._seen.forget(agent_id)
        return self._forget(drafts) if (drafts := self._of_those({agent_id})) else None

    def _of_those(self, gone: set[str]) -> list[Draft]:
        return [draft for canvas in self._store.canvases.values() for draft in self._ended(canvas, gone)]

    async def _forget(self, drafts: list[Draft]) -> None:
        if drafts:
            await self._store.append(*drafts)

    def _ended(self, canvas: Canvas, gone: set[str]) -> list[Draft]:
        left = [self._store.draft("unsubscribed", canvas, who=who) for who in canvas.subscribers if who in gone]
        held = [claim for claim in canvas.claims.values() if claim.holder in gone]
        return [*left, *(self._store.draft("released", canvas, section=claim.section) for claim in held)]

    def _is_gone(self, who: str, living: set[str]) -> bool:
        absent = self._kernel.roster.absent
        return ":" not in who and who not in living and self._kernel.roster.label(who) not in absent
