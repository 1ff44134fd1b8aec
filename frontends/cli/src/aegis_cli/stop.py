"""`aegis stop`: ask the project's kernel to end, and wait until it has."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aegis.errors import AegisError
from aegis.project import Project
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.shell import Shell, own_parser

_LIMIT, _STEP = 10.0, 0.02


def run(shell: Shell, words: Sequence[str]) -> int:
    """Stop the kernel; the project is free when this returns."""
    shell = shell.with_options(vars(own_parser("stop").parse_args(words)))
    project = shell.project
    with BlockingClient(project) as kernel:
        pid = kernel.ask("hello")["pid"]
        kernel.ask("quit")
    end = time.monotonic() + _LIMIT
    while held(project):
        if time.monotonic() > end:
            raise AegisError(f"the aegis in {project.root} (pid {pid}) has not ended within {_LIMIT:g} s")
        time.sleep(_STEP)
    shell.show({"root": str(project.root), "pid": pid}, f"the aegis in {project.root} (pid {pid}) has ended")
    return 0


def held(project: Project) -> bool:
    """Return whether a kernel holds the project, answering or not."""
    try:
        return project.is_held()
    except (AegisError, OSError):
        return False
