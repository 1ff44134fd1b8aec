"""Counting what an operation costs: calls of aegis's own functions, ledger appends, SQL reads, settings, files, …

Counts are the same on every machine, so that a test can hold one and a benchmark can compare two.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dis import opmap
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_GENERATORS = 0x2A0  # flags of code that can be resumed
_SYNCS = ("fsync", "fdatasync")


class Count:
    """What ran on this thread inside `counted`; a coroutine is one call, however often it waits.

    `lines` are those run of any Python there, a loop's as often as it goes round; `hops` are calls handed to a thread.
    Of all threads: `started` processes, files `opened`, those of `proc` by themselves, and where `threads_counted`
    also `syncs` and the characters parsed as `markdown`.
    """

    def __init__(self) -> None:
        self.calls = self.appends = self.reads = self.lines = self.hops = 0
        self.markdown = self.syncs = self.opened = self.proc = self.started = 0
        self.modules, self.sections = Counter[str](), Counter[str]()

    def see(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take in one event of the interpreter."""
        if event == "c_call":
            self.reads += arg.__name__ == "execute" and type(getattr(arg, "__self__", None)).__module__ == "sqlite3"
        self.see_anywhere(frame, event, arg)
        code = frame.f_code
        if event != "call" or (code.co_flags & _GENERATORS and frame.f_lasti > _begin(code)):
            return
        if code.co_name == "to_thread_run_sync":
            self.hops += 1
        if not _ours(code.co_filename) or code.co_name.startswith("<"):
            return
        self.calls += 1
        self.modules[Path(code.co_filename).stem] += 1
        if code.co_qualname == "Ledger.append":
            self.appends += 1
        elif code.co_qualname == "Config.section":
            self.sections[frame.f_locals["name"]] += 1

    def see_anywhere(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take in one event of the interpreter, of any thread."""
        if event == "c_call":
            self.syncs += arg.__name__ in _SYNCS
        elif event == "call" and frame.f_code.co_qualname == "MarkdownIt.parse":
            self.markdown += len(frame.f_locals["src"])

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Take in a line that is about to run."""
        self.lines += event == "line"
        return self.step

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take in what the interpreter says for auditors."""
        if event == "open":
            proc = str(arguments[0]).startswith("/proc/")
            self.proc += proc
            self.opened += not proc
        self.started += event == "subprocess.Popen"


@cache
def _begin(code: CodeType) -> int:
    """Return where a coroutine or a generator stands that has not been resumed yet."""
    return code.co_code[::2].index(opmap["RETURN_GENERATOR"]) * 2 + 4


def _ours(file: str) -> bool:
    return "/src/aegis" in file and "/testing/" not in file


_counting: list[Count] = []  # an audit hook stays for good: there is one, and it tells whoever counts


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for count in _counting:
        count.hear(event, arguments)


@cache
def _audited() -> None:
    sys.addaudithook(_audit)


def _of_thread(frame: FrameType, event: str, arg: Any) -> None:
    for count in _counting:
        count.see_anywhere(frame, event, arg)


@contextmanager
def threads_counted() -> Iterator[None]:
    """Have threads that begin inside be counted, too; they are slower for as long as they live."""
    threading.setprofile(_of_thread)
    try:
        yield
    finally:
        threading.setprofile(None)


@contextmanager
def counted(*, lines: bool = False) -> Iterator[Count]:
    """Count what runs on this thread inside; counting `lines` makes it many times slower."""
    count = Count()
    _audited()
    _counting.append(count)
    sys.setprofile(count.see)
    if lines:
        sys.settrace(count.step)
    try:
        yield count
    finally:
        sys.setprofile(None)
        if lines:
            sys.settrace(None)
        _counting.remove(count)
