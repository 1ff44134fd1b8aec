"""A ledger that is empty, foreign or older than it was is noticed before anything is stored in it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from aegis_ledger.book import Draft, LedgerFailure
from aegis_ledger.continuity import Continuity
from aegis_ledger.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "state" / "books").mkdir(parents=True)
    return tmp_path / "state" / "ledger.db"


async def live(path: Path, records: int) -> list[str]:
    """Open the ledger, store records, and return the keys of all there are."""
    ledger = Ledger(path, lambda: "now", accept="x accept")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        for n in range(records):
            await ledger.append(Draft("a", "k", str(n), {}))
        keys = [record.key for record in ledger.select("1 order by seq")]
        nursery.cancel_scope.cancel()
    return keys


def forget(path: Path) -> None:
    """Leave no ledger, but what was beside it."""
    for file in path.parent.glob("ledger.db*"):
        file.unlink()


def emptied(path: Path) -> None:
    forget(path)
    path.touch()


def replaced(path: Path) -> None:
    forget(path)
    other = path.parent.with_name("other") / "ledger.db"
    other.parent.mkdir()
    trio.run(live, other, 9)
    shutil.move(other, path)


def of_another_program(path: Path) -> None:
    forget(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table diary(words text)")


def without_its_log(path: Path) -> None:
    """What a copy of the one file is, made while a kernel runs."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("delete from records where seq > 1")
        db.execute("update sqlite_sequence set seq = 1")
        db.commit()


WRONG = {
    emptied: "is empty, but 3 records were stored in it",
    forget: "is empty, but 3 records were stored in it",
    replaced: "is not the ledger that was here: it is another one, with 9 records",
    of_another_program: r"is no ledger of aegis: it is another program's file \(tables: diary\)",
    without_its_log: "is an older copy: it ends with record 1, and 3 were stored",
}


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_what_is_not_the_ledger_that_was_here_is_refused(path: Path, damage: Callable[[Path], None]) -> None:
    trio.run(live, path, 3)
    mirror = path.parent / "books" / "a.jsonl"
    mirror.write_text("{}\n{}\n{}\n", encoding="utf-8")
    damage(path)
    before = path.read_bytes() if path.exists() else b""
    for _ in range(2):  # and the second time, too
        with pytest.raises(LedgerFailure, match=f"{WRONG[damage]}; put the right one back, or go on with it by `x acc"):
            trio.run(live, path, 0)
    assert path.read_bytes() == before, "nothing was stored in it"

    said = Continuity(path).accept()
    left = {replaced: 9, without_its_log: 1}.get(damage, 0)
    assert ("begins with an empty ledger" in said) is (left == 0) and "what belongs to the former one is in" in said
    assert len(trio.run(live, path, 2)) == left + 2
    assert not mirror.exists() and len(list(path.parent.glob("set-aside-*/books/a.jsonl"))) == 1


def test_a_ledger_of_a_former_release_is_taken(path: Path) -> None:
    trio.run(live, path, 3)
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 0")
        db.execute("pragma application_id = 0")
    Continuity(path).path.unlink()
    assert len(trio.run(live, path, 1)) == 4
    emptied(path)
    with pytest.raises(LedgerFailure, match="4 records were stored"):
        trio.run(live, path, 0)


def test_an_empty_file_beside_a_mirror_is_noticed_without_a_mark(path: Path) -> None:
    (path.parent / "books" / "mail.jsonl").write_text("{}\n" * 7, encoding="utf-8")
    path.touch()
    with pytest.raises(LedgerFailure, match="is empty, but its mirror has 7 records"):
        trio.run(live, path, 0)


def test_a_new_ledger_and_a_copy_of_the_whole_folder_are_fine(path: Path) -> None:
    path.touch()  # a death between two steps of the first start
    assert len(trio.run(live, path, 2)) == 2
    shutil.copytree(path.parent, path.parent.with_name("copy"))
    assert len(trio.run(live, path.parent.with_name("copy") / path.name, 1)) == 3


def test_the_newer_ledger_put_back_is_taken(path: Path) -> None:
    trio.run(live, path, 2)
    shutil.copy(path, path.with_name("old"))
    trio.run(live, path, 2)
    shutil.copy(path, path.with_name("new"))
    shutil.copy(path.with_name("old"), path)
    with pytest.raises(LedgerFailure, match="older copy"):
        trio.run(live, path, 0)
    shutil.copy(path.with_name("new"), path)
    assert len(trio.run(live, path, 0)) == 4
