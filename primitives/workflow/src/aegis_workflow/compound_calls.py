"""Calls of an engine that are made of other calls: the same for an engine in the kernel and one in a child."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aegis_workflow.errors import PredicateFailed, WorkflowError

if TYPE_CHECKING:
    from aegis_workflow.shell_result import Done


class CompoundCalls:
    """The part of an engine that needs nothing but the rest of it."""

    _last: str

    if TYPE_CHECKING:
        bash: Callable[..., Awaitable[Done]]
        send: Callable[..., Awaitable[str]]
        spawn_group: Callable[..., Awaitable[dict[str, str]]]
        dissolve_group: Callable[..., Awaitable[None]]

        @property
        def workflow_id(self) -> str: ...

        @property
        def host(self) -> str: ...

        def _place(self) -> str: ...

    async def bash_predicate(
        self, cmd: str | Sequence[Any], *, retry_with: str | Callable[[Mapping[str, Any]], str], max_retries: int = 3,
        cwd: str | None = None, timeout: float | None = None, to: str | None = None, **values: Any,  # noqa: ASYNC109
    ) -> Done:  # fmt: skip
        """Return once the command succeeds; after each failure an agent is told and has a turn to mend it.

        `to` is the agent that is told (default: the one that the run spoke to last, else its host); `values` are put
        into the command as `bash` does. Raises `PredicateFailed` after `max_retries`.
        """
        for attempt in range(max_retries + 1):
            done = await self.bash(cmd, cwd=cwd, timeout=timeout, idempotent=True, **values)
            if done.exit == 0:
                return done
            if attempt == max_retries:
                raise PredicateFailed(cmd if isinstance(cmd, str) else " ".join(cmd), done.to_dict(), attempt + 1)
            told = to or self._last or self.host
            if not told:
                raise WorkflowError(f"`{cmd}` failed and there is nobody to tell: say `to=`")
            words = retry_with(done.to_dict()) if callable(retry_with) else retry_with.format_map(done.to_dict())
            await self.send(told, words)
        raise AssertionError

    @asynccontextmanager
    async def ephemeral_group(self, profiles: Sequence[str]) -> AsyncIterator[str]:
        """Enter with the name of a group that is gone afterwards."""
        name = f"ephemeral-{self.workflow_id[-6:].lower()}-{self._place().replace('.', 'x')}"
        await self.spawn_group(name, profiles)
        try:
            yield name
        finally:  # of a run that is cut short or parked no step is taken: its end closes the members
            await self.dissolve_group(name)
