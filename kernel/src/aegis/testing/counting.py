"""Counting what an operation costs: calls of aegis's own functions, ledger appends, SQL reads, settings.

Counts are the same on every machine, so that a test can hold one and a benchmark can compare two.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_GENERATORS = 0x2A0  # flags of code that can be resumed
_BEGUN = 8  # the last instruction of one that has not been resumed yet lies before this


class Count:
    """What ran on this thread inside `counted`; a coroutine is one call, however often it waits."""

    def __init__(self) -> None:
        self.calls = self.appends = self.reads = 0
        self.modules, self.sections = Counter[str](), Counter[str]()

    def see(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take in one event of the interpreter."""
        if event == "c_call":
            self.reads += arg.__name__ == "execute" and type(getattr(arg, "__self__", None)).__module__ == "sqlite3"
            return
        code = frame.f_code
        resumed = bool(code.co_flags & _GENERATORS) and frame.f_lasti > _BEGUN
        if event != "call" or resumed or not _ours(code.co_filename) or code.co_name.startswith("<"):
            return
        self.calls += 1
        self.modules[Path(code.co_filename).stem] += 1
        if code.co_qualname == "Ledger.append":
            self.appends += 1
        elif code.co_qualname == "Config.section":
            self.sections[frame.f_locals["name"]] += 1


def _ours(file: str) -> bool:
    return "/src/aegis" in file and "/testing/" not in file


@contextmanager
def counted() -> Iterator[Count]:
    """Count what runs on this thread inside."""
    count = Count()
    sys.setprofile(count.see)
    try:
        yield count
    finally:
        sys.setprofile(None)
