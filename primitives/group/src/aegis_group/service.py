"""What runs as long as the kernel: groups are restored, and every open broadcast is seen to its end."""

from __future__ import annotations

from aegis import Kernel, finish_despite_cancel
from aegis.registry import owner
from aegis_group.collector import Collector
from aegis_group.membership import Membership
from aegis_group.store import Store


class GroupService:
    """Restores the groups, then collects the answers to their broadcasts."""

    name = "service"

    def __init__(self, kernel: Kernel, store: Store, membership: Membership, collector: Collector) -> None:
        self._kernel, self._store, self._membership, self._collector = kernel, store, membership, collector

    def restore(self) -> None:
        """Rebuild the groups and the open broadcasts."""
        self._store.restore()

    async def run(self) -> None:
        """See every open broadcast to its end; when the plugin leaves, all of them end."""
        await self._membership.tidy()
        try:
            await self._collector.run()
        finally:
            if self._kernel.supervisor.is_leaving(owner.get()):
                async with finish_despite_cancel():
                    await self._collector.stop()
