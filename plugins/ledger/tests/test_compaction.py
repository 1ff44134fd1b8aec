"""What is over and old is taken out, nothing else; states are the same afterwards, and the file is small again."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from aegis_ledger.compaction import compact
from aegis_ledger.ledger import Ledger


class Tasks:
    """A state that is the fold of a book."""

    def __init__(self, ledger: Ledger, ends: tuple[str, ...] | None = ("done",)) -> None:
        self.book, self.open, self.ended, self.held = ledger.book("tasks"), dict[str, str](), 0, set[str]()
        self.book.fold(self.begin, self.apply, self.state, ends=ends, held=lambda: self.held)

    def begin(self, snapshot: Any) -> None:
        self.open, self.ended = snapshot["open"], snapshot["ended"]

    def state(self) -> Any:
        return {"open": self.open, "ended": self.ended}

    def apply(self, record: Any) -> None:
        if record.kind == "done":
            self.ended += self.open.pop(record.key, None) is not None
        else:
            self.open[record.key] = record.data.get("what", "")


class Years:
    """A clock that says which year it is."""

    def __init__(self) -> None:
        self.year = 2020

    def __call__(self) -> str:
        return f"{self.year}-01-01T00:00:00Z"


@pytest.fixture
def years() -> Years:
    return Years()


@pytest.fixture
def opened(tmp_path: Path, years: Years) -> Callable[[], Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Ledger]:
        ledger = Ledger(tmp_path / "ledger.db", years)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            yield ledger
            nursery.cancel_scope.cancel()

    return opened


async def story(tasks: Tasks, names: list[str], *, end: bool) -> None:
    for name in names:
        await tasks.book.append("begun", name, what=name * 50)
        if end:
            await tasks.book.append("done", name)


async def test_what_is_over_and_old_goes_and_the_state_stays(opened, years) -> None:
    async with opened() as ledger:
        tasks = Tasks(ledger)
        await story(tasks, ["a", "b", "held"], end=True)
        await story(tasks, ["open"], end=False)
        await story(tasks, ["again"], end=True)
        await tasks.book.append("begun", "again", what="tried again")
        years.year = 2026
        await story(tasks, ["new"], end=True)
        tasks.held = {"held"}
        done = await compact(ledger, "2025-01-01T00:00:00Z")
        assert done.records == 4
        left = {r.key for r in ledger.select("1 order by seq")}
        assert left == {"held", "open", "again", "new"}
        before = tasks.state()
    async with opened() as ledger:
        tasks = Tasks(ledger)
        assert tasks.state() == before
        assert (await tasks.book.append("begun", "next")).seq == 13, "numbers are never given twice"


async def test_the_file_is_small_again_and_others_go_on(opened, years) -> None:
    async with opened() as ledger:
        tasks, many = Tasks(ledger), 4_000
        drafts = [tasks.book.draft(kind, f"t{n}", what="x" * 500) for n in range(many) for kind in ("begun", "done")]
        await ledger.append(*drafts)
        years.year, between, over = 2026, list[int](), trio.Event()

        async def others() -> None:
            while not over.is_set():
                await tasks.book.append("begun", "meanwhile")
                between.append(len(await ledger.ask("select 1 from records where kind='done'")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            done = await compact(ledger, "2025-01-01T00:00:00Z")
            over.set()
        assert len({*between}) > 3, "a record is stored between one step and the next"
        assert done.after < done.before / 4
        assert (tasks.open, tasks.ended) == ({"meanwhile": ""}, many)


async def test_a_file_of_an_older_version_is_written_anew_once(opened, years, tmp_path) -> None:
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.executescript("create table other(x); drop table other; pragma auto_vacuum=none; vacuum;")
    db.close()
    async with opened() as ledger:
        assert await ledger.ask("pragma auto_vacuum") == [0]
        tasks, said = Tasks(ledger), list[str]()
        await story(tasks, ["a"], end=True)
        years.year = 2026
        await compact(ledger, "2025-01-01T00:00:00Z", said.append)
        assert await ledger.ask("pragma auto_vacuum") == [2]
        assert "written anew" in " ".join(said)
        said.clear()
        await compact(ledger, "2025-01-01T00:00:00Z", said.append)
        assert not said


async def test_records_that_stand_alone_go_by_age(opened, years) -> None:
    async with opened() as ledger:
        tasks = Tasks(ledger, ends=None)
        await story(tasks, ["a", "b"], end=False)
        years.year = 2026
        await story(tasks, ["c"], end=False)
        await compact(ledger, "2025-01-01T00:00:00Z")
        assert [r.key for r in ledger.select("1")] == ["c"]
    async with opened() as ledger:
        assert set(Tasks(ledger).open) == {"a", "b", "c"}


async def test_a_book_that_says_nothing_keeps_everything(opened, years) -> None:
    async with opened() as ledger:
        tasks = Tasks(ledger, ends=())
        await story(tasks, ["a"], end=True)
        years.year = 2026
        assert (await compact(ledger, "2025-01-01T00:00:00Z")).records == 0
        assert len(list(ledger.select("1"))) == 2


@pytest.mark.parametrize("seed", range(8))
async def test_a_random_story_has_the_same_state_with_and_without(opened, years, seed: int) -> None:
    dice = random.Random(seed)
    model, ended = dict[str, str](), 0
    for _ in range(4):
        async with opened() as ledger:
            tasks = Tasks(ledger)
            assert (tasks.open, tasks.ended) == (model, ended)
            for _ in range(60):
                name, what = f"t{dice.randrange(15)}", str(dice.random())
                if dice.random() < 0.5:
                    await tasks.book.append("begun", name, what=what)
                    model[name] = what
                elif dice.random() < 0.8:
                    await tasks.book.append("done", name)
                    ended += model.pop(name, None) is not None
                else:
                    years.year += 1
                    await compact(ledger, f"{years.year - dice.randrange(3)}-01-01T00:00:00Z")
            assert (tasks.open, tasks.ended) == (model, ended)
