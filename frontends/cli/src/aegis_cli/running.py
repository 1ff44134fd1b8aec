"""A kernel in this process: opened, stopped by signal or request, its faults said on stderr."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import trio

from aegis import AegisError, Caller, Kernel, open_kernel
from aegis.events import ConfigChanged, Fault
from aegis.project import FILE
from aegis.supervise import root_cause
from aegis_cli.config_warnings import config_warnings
from aegis_cli.service import UNREACHABLE, user_name
from aegis_cli.transcript import changed
from aegis_printable.printable import printable
from aegis_processes.descriptors import raise_limit


def local_user() -> Caller:
    """Return the person at this terminal as a caller."""
    return Caller("human", user_name(os.getuid()))


def freeze_memory() -> None:
    """Make what is alive now permanent, so that the cyclic collector's pauses stay short in a long run."""
    gc.freeze()  # without a collection: there is next to no garbage yet, and one more pause
    gc.set_threshold(50_000, 20, 50)


def say(text: str) -> None:
    """Say one line on stderr."""
    print(f"aegis: {printable(text)}", file=sys.stderr, flush=True)


@dataclass
class Stop:
    """A request to end: it cancels what is being started; once `orderly`, the first one only sets `requested`."""

    orderly: bool = False
    requested: trio.Event = field(default_factory=trio.Event)


@asynccontextmanager
async def stoppable(signals: Sequence[signal.Signals]) -> AsyncIterator[Stop]:
    """Enter a block that one of the signals ends; it is then left without an error."""
    stop = Stop()
    received = trio.open_signal_receiver(*signals) if signals else nullcontext()  # our parent may ignore them all
    with plainly(), received as numbers:
        async with trio.open_nursery() as nursery:

            async def wait(numbers: AsyncIterator[int]) -> None:
                async for _ in numbers:
                    if not stop.orderly or stop.requested.is_set():
                        nursery.cancel_scope.cancel()
                    stop.requested.set()

            if numbers:
                nursery.start_soon(wait, numbers)
            yield stop
            nursery.cancel_scope.cancel()


@contextmanager
def plainly() -> Iterator[None]:
    """Raise an error itself, out of the groups that nurseries put around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        failure = group.split(trio.Cancelled)[1]
        if failure is None:
            raise
        cause = root_cause(failure)
        raise cause from cause.__cause__


@asynccontextmanager
async def kernel_here(
    root: Path, *, clean: bool = False, environment: Mapping[str, str] | None = None, trusted: bool = False
) -> AsyncIterator[Kernel]:
    """Enter the project's kernel in this process; broken plugins and later faults are said on stderr."""
    raise_limit()  # each agent and each connection takes some
    async with open_kernel(root, clean=clean, environment=environment, trusted=trusted) as kernel:
        for fault in kernel.faults:
            if fault.source == UNREACHABLE:
                raise AegisError(fault.error)
        plugins = {row.name: row for row in kernel.plugins.report()}
        for row in plugins.values():
            if row.state == "failed":
                say(f"the plugin {row.name!r} is broken and left out: {row.error}")
        for remark in kernel.config.remarks:
            say(remark)
        verbs = [verb.name for verb in kernel.verbs]
        for warning in config_warnings(kernel.project, kernel.config.profiles, plugins, verbs):
            kernel.bus.report(Fault(FILE, warning))
        say_faults(f for f in kernel.faults if f.source not in plugins)
        yield kernel


def say_faults(faults: Iterable[Fault]) -> None:
    """Say faults on stderr, one a line."""
    for fault in faults:
        say(f"{fault.source}: {fault.error}" + ("; it is not started again" if fault.final else ""))


async def watch_faults(kernel: Kernel) -> None:
    """Say every fault and every change of the configuration from now on, for as long as the kernel lives."""
    with kernel.bus.subscribe(only=(Fault, ConfigChanged)) as news:
        async for batches in news:
            for batch in batches:
                for event in batch.events:
                    if isinstance(event, Fault):
                        say_faults([event])
                    elif isinstance(event, ConfigChanged):
                        say(changed(event))
