"""The book `group`, and the groups and broadcasts as it describes them.

Keyed by group: `created` → `member_added`* / `member_removed`* / `renamed`* → `dissolved`. Keyed by broadcast:
`broadcast_started` → `member_result`* → `broadcast_completed`, the last in one write with the mail that tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import msgspec

from aegis import Kernel, NotFound
from aegis.errors import listed, nearest
from aegis.ledger import Draft, Record
from aegis_group.values import Broadcast, Group, Member

_RECENT = 4  # broadcasts that were over last and are still in memory: whoever waited for one looks at it now


class Store:
    """The groups and the open broadcasts; broadcasts that are over are on disk, the last few in memory, too."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("group")
        self.groups: dict[str, Group] = {}
        self.open: dict[str, Broadcast] = {}
        self._over: dict[str, Broadcast] = {}  # nothing changes them any more
        self.newest: dict[str, str] = {}  # group, or group and asker → its newest broadcast
        self.closing: set[str] = set()  # agents that must be closed, and may be still alive
        self.changed: list[Callable[[Broadcast], None]] = []
        self._live = False

    def restore(self) -> None:
        """Rebuild the groups and the open broadcasts."""
        over = ("broadcast_completed", "dissolved")
        self._book.fold(self._begin, self._apply, self._state, ends=over, held=lambda: [*self.newest.values()])
        self._live = True

    def _begin(self, snapshot: Any) -> None:
        self.groups = {g["id"]: msgspec.convert(g, Group) for g in snapshot["groups"]}
        self.open = {b["id"]: msgspec.convert(b, Broadcast) for b in snapshot["open"]}
        self.newest, self.closing = snapshot["newest"], set(snapshot.get("closing", ()))

    def _state(self) -> Any:
        state = {"groups": list(self.groups.values()), "open": list(self.open.values()), "newest": self.newest}
        return {**state, "closing": sorted(self.closing)}

    def _apply(self, record: Record) -> None:
        key, data = record.key, record.data
        self.closing.update(data.get("closing", ()))
        match record.kind:
            case "created":
                self.groups[key] = msgspec.convert(data, Group)
            case "member_added" if group := self.groups.get(key):
                member = msgspec.convert(data, Member)
                self.groups[key] = msgspec.structs.replace(group, members={**group.members, member.label: member})
            case "member_removed" if group := self.groups.get(key):
                left = {label: member for label, member in group.members.items() if label != data["label"]}
                self.groups[key] = msgspec.structs.replace(group, members=left)
            case "renamed" if group := self.groups.get(key):
                self.groups[key] = msgspec.structs.replace(group, name=data["name"])
            case "dissolved":
                self.groups.pop(key, None)
                self.newest = {asked: x for asked, x in self.newest.items() if asked.split(" ")[0] != key}
            case "broadcast_started":
                self.open[key] = new = msgspec.convert(data, Broadcast)
                self.newest[new.group] = self.newest[f"{new.group} {new.by}"] = key
            case "member_result" | "broadcast_completed" if old := self.open.get(key):
                now = self.open[key] = old.changed(data)
                if now.over:
                    self._over[key] = self.open.pop(key)
                    if len(self._over) > _RECENT:
                        del self._over[next(iter(self._over))]
                for tell in self.changed if self._live else ():
                    tell(now)

    # -- records ------------------------------------------------------------------------------------------------

    def draft(self, kind: str, key: str, **data: Any) -> Draft:
        """Return a record of the book, to be stored with others; it has the name of its group, as that is now."""
        about = self.open.get(key)
        group = self.groups.get(about.group if about else key)
        name = group.name if group else about.name if about else data.get("name", "")
        return self._book.draft(kind, key, **{"group_name": name} | msgspec.to_builtins(data))

    async def append(self, *drafts: Draft) -> None:
        """Store them all or none."""
        await self._kernel.ledger.append(*drafts)

    # -- look-ups -----------------------------------------------------------------------------------------------

    def group(self, name: str) -> Group:
        """Return the group of this name; raises `NotFound` with those there are."""
        for group in self.groups.values():
            if group.name == name:
                return group
        names = [group.name for group in self.groups.values()]
        raise NotFound(f"there is no group {name!r} (groups: {listed(names)}).{nearest(name, names)}")

    def of(self, agent_id: str) -> list[Group]:
        """Return the groups the agent is a member of."""
        return [g for g in self.groups.values() if any(m.agent == agent_id for m in g.members.values())]

    def newest_of(self, group: Group, by: str) -> str:
        """Return the id of the newest broadcast to the group by this address, else of its newest by anybody."""
        return self.newest.get(f"{group.id} {by}") or self.newest.get(group.id, "")

    def known(self, broadcast_id: str) -> bool:
        """Return whether there was a broadcast of this id."""
        return bool(self._book.find(broadcast_id))

    def broadcast(self, broadcast_id: str) -> Broadcast:
        """Return the broadcast, however long ago it ended; raises `NotFound`."""
        if there := self.open.get(broadcast_id) or self._over.get(broadcast_id):
            return there
        records = self._book.find(broadcast_id)
        if not records or records[0].kind != "broadcast_started":
            raise NotFound(f"there is no broadcast {broadcast_id!r}")
        first = msgspec.convert(records[0].data, Broadcast)
        return reduce(lambda b, record: b.changed(record.data), records[1:], first)
