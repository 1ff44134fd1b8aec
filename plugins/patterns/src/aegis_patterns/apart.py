"""A computation in a process of its own, with a deadline: it may fail, but it can hold up nobody else."""

from __future__ import annotations

import signal
import sys
from typing import Any

import msgspec
import trio
from trio.lowlevel import RunVar

SECONDS = 1.0  # of computing, which a busy machine does not shorten
_AT_ONCE = 2  # children
_limiter: RunVar[trio.CapacityLimiter] = RunVar("aegis_patterns_children")


class Unjudged(Exception):
    """The computation gave no answer; the message says why."""


async def apart(function: str, argument: Any, seconds: float = SECONDS) -> Any:
    """Return what `module:function` makes of the argument in a child process; raises `Unjudged`.

    The child has `seconds` of computing and a bounded memory. Argument and answer are JSON.
    """
    try:
        given = msgspec.json.encode(argument)
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise Unjudged(f"it is no JSON: {error}") from None
    command = [sys.executable, "-I", "-m", "aegis_patterns.child", function, str(seconds)]
    async with _children():
        try:
            done = await trio.run_process(
                command, stdin=given, capture_stdout=True, capture_stderr=True, check=False, start_new_session=True
            )
        except OSError as error:
            raise Unjudged(f"no process could be started to judge it: {error}") from None
    if done.returncode == 0:
        answer = msgspec.json.decode(done.stdout)
        if "error" in answer:
            raise Unjudged(answer["error"])
        return answer["value"]
    if -done.returncode in (signal.SIGPROF, signal.SIGXCPU):
        raise Unjudged(f"it cannot be judged within {seconds:g} s")
    how = f"exit code {done.returncode}"
    if -done.returncode in set(signal.Signals):
        how = signal.Signals(-done.returncode).name
    said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise Unjudged(": ".join([f"it cannot be judged: the process that tried ended by {how}", *said]))


def _children() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        _limiter.set(made := trio.CapacityLimiter(_AT_ONCE))
        return made
