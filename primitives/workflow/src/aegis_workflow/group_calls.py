"""What a workflow does with groups: the verbs of aegis-group as steps, none of them done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aegis import NotFound, Refused
from aegis.verb_definition import plain

if TYPE_CHECKING:
    from aegis_workflow.steps import Steps
    from aegis_workflow.store import Run


class GroupCalls:
    """The part of an engine that is about groups."""

    _steps: Steps
    _call: Callable[..., Awaitable[Any]]

    if TYPE_CHECKING:

        @property
        def _run(self) -> Run: ...

    async def _group(self, verb: str, done: Any = None, /, **args: Any) -> Any:
        """Take a step; one that was cut off is done again, and `done` is its result if it turns out to be done."""

        async def call(_: Any = None) -> Any:
            return plain(await self._call(verb, **args))

        async def again(_: Any) -> Any:
            try:
                return await call()
            except (NotFound, Refused):
                if done is None:
                    raise
                return done

        what = " ".join(str(v) for v in args.values() if v)[:80]
        return await self._steps.take(verb, what, call, recover=again)

    async def spawn_group(self, group: str, profiles: Sequence[str] = (), preset: str = "") -> dict[str, str]:
        """Return the handles of a new group's members by label; they are closed when the run ends."""
        args = {"group": group, "profiles": list(profiles), "preset": preset}

        async def gather() -> dict[str, str]:
            return dict((await self._call("group spawn-mixed", **args)).handles)

        async def gathered(_: Any) -> dict[str, str]:
            try:
                found = await self._call("group status", group=group)
            except NotFound:
                return await gather()
            return dict(found.members)

        what = f"{group} {' '.join(profiles) or preset}"
        handles: dict[str, str] = await self._steps.take("group spawn-mixed", what, gather, recover=gathered)
        return handles

    async def broadcast(self, group: str, objective: str, **fields: Any) -> str:
        """Return the id of a question to the whole group; it is asked once, however often the run is played."""
        key = f"{self._run.id}.{self._run.attempt}.{self._steps.peek()}"
        asked = await self._group("group broadcast", group=group, objective=objective, key=key, **fields)
        return str(asked["broadcast_id"])

    async def wait_all(self, group: str, broadcast_id: str = "", **more: Any) -> dict[str, Any]:
        """Return what became of a broadcast once all have answered."""
        done: dict[str, Any] = await self._group("group wait-all", group=group, broadcast_id=broadcast_id, **more)
        return done

    async def wait_any(self, group: str, broadcast_id: str = "", **more: Any) -> dict[str, Any]:
        """Return what became of a broadcast once one has answered."""
        done: dict[str, Any] = await self._group("group wait-any", group=group, broadcast_id=broadcast_id, **more)
        return done

    async def wait_quorum(self, group: str, count: int, broadcast_id: str = "", **more: Any) -> dict[str, Any]:
        """Return what became of a broadcast once so many have answered."""
        args = {"group": group, "count": count, "broadcast_id": broadcast_id, **more}
        done: dict[str, Any] = await self._group("group wait-quorum", **args)
        return done

    async def rename_group(self, old: str, new: str) -> None:
        """Give a group another name."""
        await self._group("group rename", "done", old=old, new=new)

    async def move_member(self, handle: str, from_group: str, to_group: str) -> None:
        """Take a member from one group into another."""
        await self._group("group move-member", "done", handle=handle, from_group=from_group, to_group=to_group)

    async def dissolve_group(self, group: str, *, close_members: bool = True) -> None:
        """End a group, and its members with it unless they are to live on."""
        await self._group("group dissolve", "done", group=group, close_members=close_members)
