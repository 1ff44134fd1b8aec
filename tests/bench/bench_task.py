"""What one task costs: calls of aegis's own functions, ledger appends, SQL reads on the loop, readings of the file.

Counts, not times: they are the same on every machine. `python tests/bench/bench_task.py`
"""

from __future__ import annotations

import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import trio
import trio.testing

from aegis import Caller, open_kernel
from aegis.testing.counting import Count, counted
from aegis.testing.echo import EchoPlugin

PLUGINS = ("approvals", "budget", "group", "inbox", "mcp", "queue", "records", "workflow")
ANNA = Caller("human", "anna")
BUDGET = "budgets: {project: [{output_tokens: 1000000, window: 1d}]}\n"


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


def row(count: Count) -> str:
    """Return the figures of one line."""
    sections = sum(count.sections.values())
    return f"{count.calls:>8,}{len(count.modules):>9}{count.appends:>9}{count.reads:>7}{sections:>10}"


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
            print(f"{what + ': the enqueue':<44}{row(enqueue)}\n{what + ': to the end of its task':<44}{row(whole)}")


if __name__ == "__main__":
    main()
