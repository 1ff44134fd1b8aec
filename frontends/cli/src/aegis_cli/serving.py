"""The kernel of `aegis serve`: opened, announced once callers can come in, its faults said as they happen."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import trio

from aegis_cli.asking import settle
from aegis_cli.running import freeze_memory, kernel_here, stoppable, watch_faults
from aegis_cli.shell import Shell
from aegis_cli.socket_path import socket_of
from aegis_processes.cancellation import first_of
from aegis_processes.imports import foreground


def serve(shell: Shell, signals: Sequence[signal.Signals], *, clean: bool, trust: bool) -> None:
    """Serve the shell's project until one of the signals or a request ends it; `trust` is the person's yes to it."""
    settle(shell.project, yes=trust)
    foreground.begins()
    try:
        trio.run(_serve, shell, signals, clean)
    finally:
        foreground.is_there()


async def _serve(shell: Shell, signals: Sequence[signal.Signals], clean: bool) -> None:
    async with stoppable(signals) as stop, kernel_here(shell.project.root, clean=clean) as kernel:
        stop.orderly = True
        freeze_memory()
        answer = {"root": str(kernel.project.root), "pid": os.getpid(), "socket": str(socket_of(kernel.project))}
        shell.show(answer, f"aegis runs in {answer['root']} (pid {answer['pid']}); `aegis stop` or Ctrl-C ends it")
        foreground.is_there()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_faults, kernel)
            await first_of(kernel.quit, stop.requested)
            nursery.cancel_scope.cancel()
