"""What a workflow does with the shell: a command as a step, which for an agent needs that agent's permission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aegis_workflow.command_line import command_line
from aegis_workflow.shell import sh
from aegis_workflow.shell_result import Done
from aegis_workflow.steps import brief

if TYPE_CHECKING:
    from aegis import Kernel
    from aegis_workflow.agent_acts import AgentActs
    from aegis_workflow.steps import Steps
    from aegis_workflow.store import Run


class ShellCalls:
    """The part of an engine that is about the shell."""

    _steps: Steps
    _kernel: Kernel
    _acts: AgentActs

    if TYPE_CHECKING:

        @property
        def _run(self) -> Run: ...

    async def bash(
        self, cmd: str | Sequence[Any], *, cwd: str | None = None, timeout: float | None = None,  # noqa: ASYNC109
        env: Mapping[str, str] | None = None, idempotent: bool = False, **values: Any,
    ) -> Done:  # fmt: skip
        """Return how a command of the shell ended, whatever its exit code; raises `WorkflowError` after `timeout`.

        `bash("git log {since}..", since=tag)` puts a value in, quoted: it is one word whatever is in it. A list is a
        command's words. In a run that an agent began its permission decides, as on a command of its own.
        """
        line = command_line(cmd, values)
        caller, mark = self._run.acting, self._run.mark(self._steps.peek())

        async def admit() -> None:
            what = {"command": line, "cwd": cwd, "env": dict(env or {}), "description": f"run {self._run.id}"}
            await self._acts.execute(caller, self._run.name, {name: value for name, value in what.items() if value})

        async def run() -> dict[str, Any]:
            variables = {**self._acts.environment(caller), **(env or {})}
            return (await sh(self._kernel, line, cwd, timeout, variables, mark)).to_dict()

        async def stale() -> None:  # it may have outlived a killed kernel
            await self._kernel.roster.leftovers.end({mark})

        done = await self._steps.take(
            "bash", brief(line), run, again=idempotent, skipped=Done(0, "", "").to_dict(), stale=stale, admit=admit
        )
        return Done(**done)
