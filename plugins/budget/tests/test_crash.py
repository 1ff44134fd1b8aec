"""The kernel is killed at every sync of its disk: what a CLI may have spent is in the books, once."""

import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from budget_crash import BUDGETS, LIMIT, noted
from budget_stage import STEP, Till, admit, call, config, until

import aegis_budget.plugin
from aegis import Kernel, Refused, open_kernel
from aegis.ledger import Record
from aegis.testing.crash import walk

SCENARIO = [sys.executable, str(Path(__file__).with_name("budget_crash.py"))]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the crash harness works on Linux only")


def check(disk: Path, notes: Path) -> None:
    """Restart the kernel on what was left, twice, and hold its books to the notes."""
    (disk / ".aegis.yaml").write_text(config(BUDGETS))  # a person's file, which aegis does not sync
    first = trio.run(recovered, disk, notes)
    assert trio.run(recovered, disk, notes) == first, "a second restart counted again"


async def recovered(disk: Path, notes: Path) -> dict[str, int]:
    """Return the tokens of every turn in the books, once all mail that was left is done with."""
    plugins = {"till": Till(hurries=True), "budget": aegis_budget.plugin}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        assert not kernel.faults, f"faults at start: {kernel.faults}"
        for letter in kernel.post.letters():
            if not letter.envelope.recipient.startswith("human:"):
                await kernel.post.wait_turn(letter.envelope.id)
        await until(lambda: not any(agent.turn for agent in kernel.roster))
        book = kernel.ledger.book("budget")
        with suppress(Refused):
            await admit(kernel, "t", [], only_ask=True)  # answered once what was left is settled
        with trio.move_on_after(10):
            await until(lambda: not _unknown(kernel))
        assert not _unknown(kernel), "a turn is not in the books"
        await kernel.ledger.append()  # what is on disk is in the state, too
        spends = book.newest("spent", 100)
        assert set(Counter(r.key for r in spends).values()) <= {1}, "a turn was counted twice"
        spent = {r.key: r.data["output_tokens"] for r in spends}
        heard = {n["turn"] for n in noted(notes, "heard")}
        assert heard <= spent.keys(), "what a CLI heard was not counted"
        for metered in noted(notes, "metered"):
            assert spent[metered["turn"]] >= metered["tokens"], "less was counted than was metered"
        for done in noted(notes, "done"):
            assert spent[done["turn"]] == done["tokens"], "a turn that was done has another bill now"
        rows = {row.scope: row for row in await call(kernel, "list")}
        assert rows["project"].reserved == "0", "something is held for nobody"
        assert int(rows["project"].spent) == sum(spent.values()) <= LIMIT + 2 * STEP
        return spent


def _unknown(kernel: Kernel) -> list[list[Record]]:
    """Return the records of turns that are over and that the books do not have."""
    book, mail = kernel.ledger.book("budget"), kernel.ledger.book("mail")
    ended = [record.key for record in mail.newest("turn", 100)]
    missing = [key for key in ended if not {r.kind for r in book.find(key)} & {"spent", "released"}]
    return [mail.find(key) for key in missing]


@pytest.mark.timeout(300)
def test_nothing_that_was_spent_is_forgotten_whichever_write_the_kernel_dies_at() -> None:
    found = walk(SCENARIO, check)
    assert not found.failures, str(found)
    assert len(found.syncs) > 25, "the scenario writes less than it should"


@pytest.mark.timeout(120)
def test_the_walk_finds_a_ledger_that_does_not_sync() -> None:
    assert len(walk(SCENARIO, check, skip="*-wal", enough=2).failures) >= 2
