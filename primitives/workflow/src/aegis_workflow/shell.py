"""A command of the shell as a step."""

from __future__ import annotations

from collections.abc import Mapping

from aegis import Kernel
from aegis_processes.processes import MARK
from aegis_processes.shell import shell
from aegis_workflow.errors import WorkflowError
from aegis_workflow.shell_result import Done


async def sh(
    kernel: Kernel, cmd: str, cwd: str | None, seconds: float | None, env: Mapping[str, str], mark: str
) -> Done:
    """Return how the command ended; raises `WorkflowError` when it took longer than it may, and nothing is left.

    `env` is all of its environment; `mark` is in its environment, so that one that outlived a killed kernel is found.
    """
    folder = (kernel.project.root / (cwd or ".")).resolve()
    return Done(*await shell(cmd, folder, seconds, {**env, MARK: mark}, WorkflowError))
