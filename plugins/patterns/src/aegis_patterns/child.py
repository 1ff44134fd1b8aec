"""The other end of `apart`: reads an argument, computes within its limits, and says the answer."""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import msgspec

_LONGEST = 60.0  # seconds by the clock, should it wait for something
_MEMORY = 2**30  # bytes
_SAID = 500  # characters of an error


def main() -> None:
    """Answer one question; a signal ends the process when it takes too long."""
    name, seconds = sys.argv[1:]
    signal.setitimer(signal.ITIMER_REAL, _LONGEST)
    module, _, function = name.partition(":")
    work = getattr(import_module(module), function)
    given = sys.stdin.buffer.read()
    with suppress(OSError, ValueError):  # not every system bounds it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.setitimer(signal.ITIMER_PROF, float(seconds))
    answer = _answer(work, given)
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _answer(work: Any, given: bytes) -> dict[str, Any]:
    try:
        return {"value": work(msgspec.json.decode(given))}
    except RecursionError:
        return {"error": "it cannot be judged: it is nested too deeply, or refers to itself without an end"}
    except MemoryError:
        return {"error": f"it cannot be judged within {_MEMORY // 2**20:,} MB of memory"}
    except Exception as error:  # noqa: BLE001 - what the work raises is the answer, and the caller's to say
        return {"error": f"it cannot be judged: {type(error).__name__}: {error}"[:_SAID]}


if __name__ == "__main__":
    main()
