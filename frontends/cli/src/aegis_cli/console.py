"""`aegis`: a console on the project's kernel, which is the running one, or else this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import trio

from aegis import AegisError, Busy, Client, ConfigError, Console, NotFound
from aegis.plugins import disabled_in, discovered
from aegis.project import Project, Untrusted
from aegis_cli.asking import settle
from aegis_cli.running import Stop, freeze_memory, kernel_here, local_user, plainly, say, stoppable
from aegis_cli.shell import Shell
from aegis_cli.signals import take_over
from aegis_cli.socket_client import connected
from aegis_cli.socket_path import safe_socket_of
from aegis_cli.stop import held
from aegis_discovery.discovery import Discovery
from aegis_processes.cancellation import first_of
from aegis_processes.imports import foreground

_LIMIT, _STEP = 20.0, 0.1  # seconds for another kernel that is starting or ending to have done so
_HANGUP = (signal.SIGTERM, signal.SIGHUP)  # Ctrl-C is a key of the console


def run(shell: Shell, agent: str, *, clean: bool, trust: bool = False) -> int:
    """Attach a console and return its exit code; at its first start in a project the person is asked to trust it."""
    try:
        settle(shell.project, yes=trust)
    except Untrusted as refusal:
        if not held(shell.project):
            raise
        say(f"{refusal}; the aegis that runs goes on with what you trusted")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "a console needs a terminal; `aegis serve` runs without one, and `aegis --help` lists commands"
        )
    take_over()
    foreground.begins()
    try:
        return trio.run(_attach, shell.project, agent, clean)
    finally:
        foreground.is_there()


async def _attach(project: Project, agent: str, clean: bool) -> int:
    """Return the exit code of the person's visit, or of the signal that ended it."""
    code = 128 + signal.SIGTERM
    async with stoppable(_HANGUP) as stop:
        code = await _visit(project, agent, clean, stop)
    return code  # noqa: RET504 - a signal ends the block before it has one


async def _visit(project: Project, agent: str, clean: bool, stop: Stop) -> int:
    """Be the kernel if the project's lock is free, else join the one that holds it: the lock decides, nothing else."""
    deadline = trio.current_time() + _LIMIT
    while True:
        try:
            async with kernel_here(project.root, clean=clean) as kernel:
                stop.orderly = True
                freeze_memory()
                client = kernel.client(local_user())
                return await served(
                    first(kernel.plugins.found), client, agent, kernel.quit, stop.requested, begin=_reopen
                )
        except Busy as busy:
            if clean:
                raise Busy(f"{busy}; --clean is for a kernel that starts, so end that one first") from None
        except Untrusted:
            if not held(project):
                raise
        async with AsyncExitStack() as stack:
            try:
                line = await stack.enter_async_context(connected(str(safe_socket_of(project))))
            except (AegisError, FileNotFoundError):
                if trio.current_time() > deadline:
                    raise
                await trio.sleep(_STEP)
                continue
            code = await served(first(_plugins(project.root)), line, agent, line.ended)
            if line.ended.is_set():
                say(f"the aegis in {project.root} has ended; its agents come back with the next one")
            return code


def first(plugins: Discovery) -> Console:
    """Return the first console that is installed; raises `NotFound`."""
    for _, console in plugins.offers("aegis_consoles"):
        found: Console = console
        return found
    raise NotFound("no console is installed (aegis-repl brings one); `aegis serve` runs without")


def _plugins(root: Path) -> Discovery:
    return discovered(disabled_in(root))


async def _reopen(client: Client) -> None:
    """Open the sessions of the last time; what becomes of each is seen on the screen."""
    with suppress(AegisError):  # without the plugin that has this verb they wake when they are written to
        await client.call("reopen")


async def served(
    console: Console,
    client: Client,
    agent: str,
    *ended: trio.Event,
    begin: Callable[[Client], Awaitable[None]] | None = None,
) -> int:
    """Return the exit code of the person's visit, with `begin` beside it; it ends when the kernel does."""
    code = 0
    with plainly():
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await first_of(*ended)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end)
            if begin:
                nursery.start_soon(begin, client)
            if agent:
                await client.call("spawn", {"agent": agent})
            code = await console.attach(client)
            nursery.cancel_scope.cancel()
    return code
