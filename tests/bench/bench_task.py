"""What one task costs: calls of aegis's own functions, ledger appends, SQL reads on the loop, readings of the file.

Counts, not times: they are the same on every machine. `python tests/bench/bench_task.py`
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Any

import trio
import trio.testing

import aegis
from aegis import Caller, open_kernel
from aegis.testing.echo import EchoPlugin

PLUGINS = ("approvals", "budget", "group", "inbox", "mcp", "queue", "records", "workflow")
ANNA = Caller("human", "anna")
BUDGET = "budgets: {project: [{output_tokens: 1000000, window: 1d}]}\n"


class Count:
    """What ran on this thread while it was entered."""

    def __init__(self) -> None:
        self.calls, self.modules = 0, Counter[str]()
        self.appends = self.reads = self.sections = 0

    def see(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take in one event of the interpreter."""
        if event == "c_call":
            self.reads += arg.__name__ == "execute" and type(getattr(arg, "__self__", None)).__module__ == "sqlite3"
            return
        code = frame.f_code
        if event != "call" or not _ours(code.co_filename) or code.co_name.startswith("<") or _resumed(frame):
            return
        self.calls += 1
        self.modules[Path(code.co_filename).stem] += 1
        self.appends += code.co_qualname == "Ledger.append"
        self.sections += code.co_qualname == "Config.section"

    def __str__(self) -> str:
        return f"{self.calls:>8,}{len(self.modules):>9}{self.appends:>9}{self.reads:>7}{self.sections:>10}"


def _ours(file: str) -> bool:
    return "/src/aegis" in file and "/testing/" not in file


def _resumed(frame: FrameType) -> bool:
    """Return whether a coroutine or generator only goes on."""
    return bool(frame.f_code.co_flags & 0x2A0) and frame.f_lasti > 8


@contextmanager
def counted() -> Iterator[Count]:
    """Count what runs on this thread meanwhile."""
    count = Count()
    sys.setprofile(count.see)
    try:
        yield count
    finally:
        sys.setprofile(None)


async def walk(folder: Path, budgets: str, names: tuple[str, ...]) -> tuple[Count, Count]:
    """Return what an enqueue costs, and what the whole way of its task costs: to its worker, and to its end."""
    folder.mkdir()
    (folder / ".aegis.yaml").write_text(f"{budgets}queues: {{one: {{agent: echo}}}}\n")
    found = {point.name: point.load() for point in entry_points(group="aegis.plugins") if point.name in names}
    async with open_kernel(folder, plugins={"echo": EchoPlugin(), **found}, environment={}) as kernel:
        first = await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": "the first one fills caches"})
        await kernel.verbs.call(ANNA, "task wait", {"task_id": first.task_id})
        await trio.testing.wait_all_tasks_blocked(0.05)
        await kernel.verbs.call(ANNA, "queue pause", {"queue": "one"})
        with counted() as enqueue:
            await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": "work"})
        await kernel.verbs.call(ANNA, "queue resume", {"queue": "one"})
        await trio.testing.wait_all_tasks_blocked(0.05)
        with counted() as whole:
            await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": "work"})
            while list(kernel.roster) or whole.appends < 8:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.testing.wait_all_tasks_blocked(0.05)
        return enqueue, whole


def main() -> None:
    """Print the table."""
    print(f"{'':<44}{'calls':>8}{'modules':>9}{'appends':>9}{'reads':>7}{'sections':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        cases = {
            "queue alone": ("", ("queue",)), f"{len(PLUGINS)} plugins, no budgets": ("", PLUGINS),
            f"{len(PLUGINS)} plugins, a budget": (BUDGET, PLUGINS),
        }  # fmt: skip
        for number, (what, (budgets, names)) in enumerate(cases.items()):
            enqueue, whole = trio.run(walk, Path(scratch) / str(number), budgets, names)
            print(f"{what + ': the enqueue':<44}{enqueue}\n{what + ': to the end of its task':<44}{whole}")


if __name__ == "__main__":
    assert aegis
    main()
