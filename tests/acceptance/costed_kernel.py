"""A kernel with every plugin of the default set, a past, and what its operations cost in counts."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields
from itertools import count
from pathlib import Path
from typing import Any

import trio
import trio.testing

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

import seeding

from aegis import Caller, Kernel, open_kernel
from aegis.testing.counting import counted, threads_counted
from aegis_claude.testing.quick import compiled

ANNA = Caller("human", "anna")
TIMES = 3  # each operation; the smallest counts are held, as a timer may fall into one of them
SETTLED = 0.2  # seconds in which nothing runs: longer than anything that is put off to be done with more
INBOX = 50


@dataclass(frozen=True)
class Cost:
    """What one operation does.

    `calls` of our functions and `lines` of any Python on the loop; `appends`, `commits`, `rows` and bytes `written` of
    the ledger; other `syncs`; `queries` on the loop, `asides` in a thread, and `rows_read`; characters parsed as
    `markdown`; `hops` to a thread; files `opened`, those of `proc` by themselves; readings of the `settings`.
    """

    calls: int
    lines: int
    appends: int
    commits: int
    rows: int
    written: int
    syncs: int
    queries: int
    asides: int
    rows_read: int
    markdown: int
    hops: int
    opened: int
    proc: int
    settings: int

    def least(self, other: Cost) -> Cost:
        """Return the smaller of each figure."""
        return Cost(**{f.name: min(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


def described(costs: dict[str, dict[str, int]]) -> str:
    """Return the figures as a table."""
    names = [f.name for f in fields(Cost)]
    head = f"{'':<16}" + "".join(f"{name:>10}" for name in names)
    return "\n".join([head, *(f"{op:<16}" + "".join(f"{c[n]:>10,}" for n in names) for op, c in costs.items())])


def project(folder: Path, size: int) -> Path:
    """Return a project with so many agents, sections, pending and finished tasks, unread letters and turns before."""
    root = folder / f"project-{size}"
    root.mkdir()
    (root / "home").mkdir()
    (root / "plan.md").write_text(seeding.sections(min(size, 900)))
    claude = json.dumps([compiled(folder)])
    (root / ".aegis.yaml").write_text(
        f"agents: {{quick: {{provider: claude-code, permission: full, command: {claude}}}}}\n"
        f"{seeding.LIMITS}queues: {{one: {{agent: quick}}, still: {{agent: quick}}}}\n"
    )
    seeding.write(
        root, (seeding.agents("quick"), size), (seeding.turns("human:bo"), size), (seeding.letters("human:bo"), size),
        (seeding.closed_agents("quick"), size), (seeding.finished("one"), size), (iter([[seeding.paused("still")]]), 1),
        (seeding.pending("still"), size),
    )  # fmt: skip
    return root


class Costs:
    """The operations, each as a person or an agent asks for it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self._numbers = kernel, count()

    async def call(self, verb: str, caller: Caller = ANNA, **args: Any) -> Any:
        """Call a verb."""
        return await self.kernel.verbs.call(caller, verb, args)

    async def begin(self) -> None:
        """Have what the operations work with: two agents, a canvas with one who is told, a terminal."""
        await self.call("spawn", agent="quick", handle="ann")
        await self.call("spawn", agent="quick", handle="bob")
        await self.call("canvas open", name="plan", file="plan.md")
        await self.call("term spawn", name="shell")
        self.ann = self.kernel.roster.caller(self.kernel.roster.find("ann"))

    async def handoff(self) -> None:
        """Hand over to an idle agent, up to the end of its turn."""
        receipt = await self.call("handoff", self.ann, target_handle="bob", context="look at this " * 20)
        await self.kernel.post.wait_turn(receipt.id)

    async def enqueue(self) -> None:
        """Enqueue a task that waits."""
        await self.call("enqueue", queue="still", payload=seeding.BODY)

    async def task(self) -> None:
        """Enqueue a task and wait for it: its agent is spawned, told and closed."""
        before = len(list(self.kernel.roster))
        made = await self.call("enqueue", queue="one", payload=seeding.BODY)
        await self.call("task wait", task_id=made.task_id)
        while len(list(self.kernel.roster)) > before:  # its agent is closed, too
            await trio.testing.wait_all_tasks_blocked(0.01)

    async def canvas_write(self) -> None:
        """Write a section of a canvas."""
        words = f"{next(self._numbers)} words\n" * 10
        await self.call("canvas write-section", name="plan", section="Section 4", content=words)

    async def term_run(self) -> None:
        """Run a command in a terminal."""
        await self.call("term run", name="shell", cmd="true")

    async def letters(self, number: int) -> None:
        """Have a person get letters."""
        for _ in range(number):
            await self.kernel.post.deliver(self.kernel.post.envelope("agent:bob", str(ANNA), seeding.BODY))

    async def inbox(self) -> None:
        """Read every letter."""
        assert len(await self.call("message inbox")) == INBOX

    async def spawn_close(self) -> None:
        """Spawn an agent that does nothing, and close it."""
        await self.call("spawn", agent="quick", handle="eve")
        await self.call("close", handle="eve")

    async def measured(self, do: Callable[[], Awaitable[None]], before: Callable[[], Awaitable[None]] | None) -> Cost:
        """Return what the operation costs, once it has been done before."""
        found: Cost | None = None
        for number in range(TIMES + 1):
            if before:
                await before()
            await trio.testing.wait_all_tasks_blocked(SETTLED)
            was = self.kernel.ledger.counts.copy()
            with counted(lines=True) as seen:
                await do()
                await trio.testing.wait_all_tasks_blocked(SETTLED)
            done = self.kernel.ledger.counts - was
            cost = Cost(
                seen.calls, seen.lines, done.appends, done.commits, done.rows, done.written, seen.syncs, done.queries,
                done.asides, done.rows_read, seen.markdown, seen.hops, seen.opened, seen.proc, seen.sections.total(),
            )  # fmt: skip
            if number:  # the first one fills caches
                found = found.least(cost) if found else cost
        assert found
        return found

    async def all(self) -> dict[str, Cost]:
        """Return what each operation costs."""
        return {
            "handoff": await self.measured(self.handoff, None),
            "enqueue": await self.measured(self.enqueue, None),
            "task": await self.measured(self.task, self.letters_read),
            "canvas write": await self.measured(self.canvas_write, None),
            "term run": await self.measured(self.term_run, None),
            "inbox": await self.measured(self.inbox, self.letters_new),
            "spawn and close": await self.measured(self.spawn_close, None),
        }

    async def letters_read(self) -> None:
        """Have a person with nothing to read."""
        await self.call("message inbox")

    async def letters_new(self) -> None:
        """Have a person with so many letters to read."""
        await self.letters_read()
        await self.letters(INBOX)


async def costs_of(root: Path) -> dict[str, Cost]:
    """Return what each operation costs with the default set, in the project."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(root / "home"), "IS_SANDBOX": "1"}
    async with open_kernel(root, environment=environment, trusted=True) as kernel:
        costs = Costs(kernel)
        await costs.begin()
        return await costs.all()


def main(sizes: list[str]) -> None:
    """Print the costs with pasts of these sizes, as JSON; a process of its own has no threads of others."""
    with threads_counted(), tempfile.TemporaryDirectory() as folder:
        for size in map(int, sizes):
            found = trio.run(costs_of, project(Path(folder), size))
            print(json.dumps({name: asdict(cost) for name, cost in found.items()}))


if __name__ == "__main__":
    main(sys.argv[1:])
