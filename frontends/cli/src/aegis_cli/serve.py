"""`aegis serve`: the kernel without a screen."""

from __future__ import annotations

import os
from collections.abc import Sequence

import trio

from aegis.app import settle_memory
from aegis_cli.running import kernel_here, stoppable, watch_faults
from aegis_cli.shell import Shell, own_parser


def run(shell: Shell, words: Sequence[str]) -> int:
    """Be the project's kernel until a signal or `aegis stop` ends it."""
    parser = own_parser("serve")
    parser.add_argument("--clean", action="store_true", help="close the agents of the last time first")
    given = vars(parser.parse_args(words))
    trio.run(_serve, shell.with_options(given), given.get("clean", False))
    return 0


async def _serve(shell: Shell, clean: bool) -> None:
    async with stoppable():
        async with kernel_here(shell.project.root, clean=clean) as kernel:
            settle_memory()
            face = {"root": str(kernel.project.root), "pid": os.getpid(), "socket": str(kernel.project.socket)}
            shell.show(face, f"aegis runs in {face['root']} (pid {face['pid']}); `aegis stop` or Ctrl-C ends it")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_faults, kernel)
                await kernel.quit.wait()
                nursery.cancel_scope.cancel()
