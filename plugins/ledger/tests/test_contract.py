"""The ledger keeps what it acknowledged, stores together what belongs together, and says when it cannot."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from aegis_ledger.book import SNAPSHOT_EVERY, Draft, LedgerFailure, Record
from aegis_ledger.ledger import Ledger

Opened = Callable[[], AbstractAsyncContextManager[Ledger]]
NOBODY = 65534


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open the test's ledger; opening it again after it was left is a restart."""

    @asynccontextmanager
    async def ledger() -> AsyncIterator[Ledger]:
        made = Ledger(tmp_path / "ledger.db", lambda: "2026-01-05T10:00:00Z")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()

    return ledger


async def _many(ledger: Ledger, drafts: list[Draft]) -> list[Record | Exception]:
    """Append each draft from a task of its own, all before the first commit; return what each one got."""
    got: dict[str, Record | Exception] = {}

    async def one(draft: Draft) -> None:
        try:
            got[draft.key] = (await ledger.append(draft))[0]
        except LedgerFailure as error:
            got[draft.key] = error

    async with trio.open_nursery() as nursery:
        for draft in drafts:
            nursery.start_soon(one, draft)
    return [got[draft.key] for draft in drafts]


async def test_what_was_appended_is_there_after_a_restart_in_order(opened: Opened) -> None:
    async with opened() as ledger:
        for n in range(3):
            await ledger.book("a").append("said", f"k{n}", n=n, text="grüße ✉")
        assert [r.data["n"] for r in ledger.book("a").replay()[1]] == [0, 1, 2]
    async with opened() as ledger:
        records = list(ledger.book("a").replay()[1])
        assert [(r.kind, r.key, r.data) for r in records] == [
            ("said", f"k{n}", {"n": n, "text": "grüße ✉"}) for n in range(3)
        ]
        assert {r.at for r in records} == {"2026-01-05T10:00:00Z"}


async def test_a_group_is_committed_together_and_sequence_numbers_follow_arrival(
    opened: Opened, tmp_path: Path
) -> None:
    async with opened() as ledger:
        groups: list[int] = []
        ledger.on_commit(lambda records: groups.append(len(records)))
        got: list[Record] = []

        async def sender(n: int) -> None:
            got.extend(await ledger.append(Draft("a", "k", str(n)), Draft("b", "k", str(n))))

        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(sender, n)
        assert groups == [2] * 50, "each append is told by itself, in order"
        assert [r.seq for r in sorted(got, key=lambda r: r.seq)] == list(range(1, 101))
        pairs = {r.key: set() for r in got}
        for r in got:
            pairs[r.key].add(r.seq)
        assert all(max(p) - min(p) == 1 for p in pairs.values()), "an append's records stand side by side"


async def test_records_of_several_books_are_stored_all_or_none(opened: Opened) -> None:
    async with opened() as ledger:
        with pytest.raises(LedgerFailure, match="did not store"):
            await ledger.append(Draft("queue", "completed", "t"), Draft("mail", "accepted", "e", {"bad": "\ud800"}))
        assert not list(ledger.select("true"))
        await ledger.append(Draft("queue", "completed", "t"), Draft("mail", "accepted", "e"))
        assert [r.book for r in ledger.select("true order by seq")] == ["queue", "mail"]


@pytest.mark.parametrize("poison", [{"text": "\ud800"}, {"deep": None}], ids=["surrogate", "deep"])
async def test_one_bad_row_does_not_fail_its_neighbours(opened: Opened, poison: dict) -> None:
    if "deep" in poison:
        value: list = []
        for _ in range(5000):
            value = [value]
        poison = {"deep": value}
    async with opened() as ledger:
        drafts = [Draft("a", "k", str(n), poison if n == 4 else {"n": n}) for n in range(9)]
        got = await _many(ledger, drafts)
        assert isinstance(got[4], LedgerFailure)
        assert "ledger.db" in str(got[4])
        assert [r.data["n"] for r in got if isinstance(r, Record)] == [0, 1, 2, 3, 5, 6, 7, 8]
        assert len(list(ledger.book("a").replay()[1])) == 8
        await ledger.append(Draft("a", "k", "later"))


async def test_an_append_whose_caller_was_cancelled_is_stored_or_failed_never_maybe(opened: Opened) -> None:
    async with opened() as ledger:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ledger.book("a").append("said", "k")
        assert [r.key for r in ledger.book("a").find("k")] == ["k"]


async def test_leaving_commits_what_waits_and_refuses_what_comes_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", lambda: "now")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        nursery.start_soon(ledger.book("a").append, "said", "in-time")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with trio.fail_after(1), pytest.raises(LedgerFailure, match="closed"):
        await ledger.book("a").append("said", "too-late")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        assert db.execute("select key from records").fetchall() == [("in-time",)]


async def test_who_listens_and_fails_costs_nobody_a_record(opened: Opened) -> None:
    heard: list[str] = []

    def broken(records: list[Record]) -> None:
        raise RuntimeError("a plugin's mistake")

    async with opened() as ledger:
        ledger.on_commit(broken)
        ledger.on_commit(lambda records: heard.extend(r.key for r in records))
        await ledger.append(Draft("a", "k", "one"))
        await ledger.append(Draft("a", "k", "two"))
    assert heard == ["one", "two"]


async def test_a_replay_begins_with_the_snapshot(opened: Opened) -> None:
    async with opened() as ledger:
        book = ledger.book("tasks")
        for n in range(5):
            record = await book.append("done", str(n))
        book.snapshot({"done": 5}, record.seq)
        await book.append("done", "5")
        await ledger.book("others").append("done", "x")
    async with opened() as ledger:
        state, records = ledger.book("tasks").replay()
        assert state == {"done": 5}
        assert [r.key for r in records] == ["5"]
        assert ledger.book("others").replay()[0] is None


async def test_the_newest_of_a_kind_come_first(opened: Opened) -> None:
    async with opened() as ledger:
        for n in range(4):
            await ledger.book("a").append("x" if n % 2 else "y", str(n))
        assert [r.key for r in ledger.book("a").newest("x", 9)] == ["3", "1"]
        assert [r.key for r in ledger.book("a").newest("y", 1)] == ["2"]


# -- disks that do not work -----------------------------------------------------------------------------------------


async def test_on_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_room(opened: Opened) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened() as ledger:
        await ledger.append(Draft("a", "k", "before"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limit[1]))
        try:
            got = await _many(ledger, [Draft("a", "k", str(n), {"text": "x" * 40_000}) for n in range(8)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        refused = [g for g in got if isinstance(g, LedgerFailure)]
        assert refused, "the disk was not full"
        assert "ledger.db did not store the record" in str(refused[0])
        stored = {r.key for r in ledger.book("a").replay()[1]}
        assert stored == {"before"} | {g.key for g in got if isinstance(g, Record)}
        await ledger.append(Draft("a", "k", "after"))
    async with opened() as ledger:
        assert {r.key for r in ledger.book("a").replay()[1]} == stored | {"after"}


@pytest.mark.skipif(sys.platform != "linux", reason="drops its privileges with setpriv")
def test_a_read_only_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from aegis_ledger.ledger import Ledger; Ledger(Path(sys.argv[1]), str)"
    )
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o555)
    drop = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", "--"] if os.getuid() == 0 else []
    if drop and not shutil.which("setpriv"):
        pytest.skip("running as root without setpriv: nothing is read-only")
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [*drop, sys.executable, "-c", script, str(folder / "ledger.db")], capture_output=True, text=True, check=False
    )
    if "Permission denied" in done.stderr and "LedgerFailure" not in done.stderr:
        pytest.skip("another user cannot reach this interpreter")
    assert "LedgerFailure: cannot open the ledger" in done.stderr, done.stderr
    assert "read-only" in done.stderr


def test_a_file_that_is_no_ledger_is_said_in_a_sentence_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this was a diary once " * 100)
    with pytest.raises(LedgerFailure, match=r"cannot open the ledger .*ledger\.db: .*damaged"):
        Ledger(path, str)
    assert path.read_bytes().startswith(b"this was a diary once")


async def test_a_damaged_page_is_said_in_a_sentence(opened: Opened, tmp_path: Path) -> None:
    async with opened() as ledger:
        for n in range(40):
            await ledger.append(Draft("a", "k", str(n), {"text": "x" * 2000}))
    path = tmp_path / "ledger.db"
    data = bytearray(path.read_bytes())
    data[8192:-4096] = b"\xff" * (len(data) - 8192 - 4096)
    path.write_bytes(data)
    with pytest.raises(BaseException) as caught:  # noqa: PT012 - wherever it is noticed
        async with opened() as ledger:
            list(ledger.book("a").replay()[1])
            await ledger.append(Draft("a", "k", "x"))
    leaf = caught.value.exceptions[0] if isinstance(caught.value, BaseExceptionGroup) else caught.value
    assert isinstance(leaf, LedgerFailure), repr(leaf)
    assert str(path) in str(leaf)


async def test_many_short_lives_lead_to_a_snapshot_as_a_long_one_does(opened: Opened) -> None:
    for life in range(3):
        async with opened() as ledger:
            book, seen = ledger.book("b"), [0]

            def begin(snapshot: int, seen: list[int] = seen) -> None:
                seen[0] = snapshot

            def apply(record: Record, seen: list[int] = seen) -> None:
                seen[0] += 1

            book.fold(begin, apply, lambda seen=seen: seen[0])
            await ledger.append(*(book.draft("x", str(n)) for n in range(SNAPSHOT_EVERY * 3 // 4)))
            assert seen == [SNAPSHOT_EVERY * 3 // 4 * (life + 1)]
    async with opened() as ledger:
        snapshot, after = ledger.book("b").replay()
        assert snapshot and snapshot + len(list(after)) == SNAPSHOT_EVERY * 9 // 4


async def test_it_counts_what_it_was_asked_to_do(opened: Opened) -> None:
    async with opened() as ledger:
        await ledger.append(Draft("a", "k", "x"))
        before = ledger.counts.copy()
        await _many(ledger, [Draft("a", "k", str(n), {"n": n}) for n in range(5)])
        await ledger.append(Draft("a", "k", "x"), once=True)
        done = ledger.counts - before
        assert (done.appends, done.rows, done.written) == (6, 5, 5 * len(b'{"n":0}'))
        assert done.commits < 6, "those that came together waited for one commit"
        before = ledger.counts.copy()
        assert len(list(ledger.select("book=?", "a"))) == 6
        assert await ledger.aside(lambda select: len(list(select("true limit 2")))) == 2
        done = ledger.counts - before
        assert (done.queries, done.asides, done.rows_read) == (1, 1, 8)
        assert done.read == 5 * len(b'{"n":0}') + len(b"{}") + len(b"{}") + len(b'{"n":0}')


# -- records for which nobody waits ---------------------------------------------------------------------------------


async def test_what_rides_is_stored_with_the_next_append_and_before_it(opened: Opened) -> None:
    async with opened() as ledger:
        await ledger.append()
        before, heard = ledger.counts.copy(), list[list[str]]()
        ledger.on_commit(lambda records: heard.append([r.key for r in records]))
        ledger.ride(Draft("a", "k", "one"), Draft("a", "k", "two"))
        ledger.book("b").ride("k", "three")
        [last] = await ledger.append(Draft("a", "k", "four"))
        assert [r.key for r in ledger.select("true order by seq")] == ["one", "two", "three", "four"]
        assert heard == [["one", "two"], ["three"], ["four"]]
        done = ledger.counts - before
        assert (done.appends, done.rides, done.commits, last.seq) == (1, 2, 1, 4)


async def test_what_rides_is_stored_by_itself_when_nothing_else_comes(opened: Opened) -> None:
    stored = trio.Event()
    async with opened() as ledger:
        ledger.on_commit(lambda records: stored.set())
        ledger.ride(Draft("a", "k", "one"))
        await stored.wait()
        assert [r.key for r in ledger.select("true")] == ["one"]
        stored = trio.Event()
        ledger.ride(Draft("a", "k", "two"))
        await stored.wait()
        assert ledger.counts.commits == 2


async def test_what_rides_is_stored_at_once_when_somebody_asks_for_it(opened: Opened) -> None:
    async with opened() as ledger:
        await ledger.flush()
        ledger.ride(Draft("a", "k", "one"))
        before = ledger.counts.copy()
        await ledger.flush()
        assert [r.key for r in ledger.select("true")] == ["one"]
        assert ((ledger.counts - before).commits, ledger.counts.appends) == (1, 0)


async def test_what_rides_when_the_ledger_ends_is_stored(opened: Opened) -> None:
    async with opened() as ledger:
        ledger.ride(Draft("a", "k", "one"))
    with pytest.raises(LedgerFailure, match="closed"):
        ledger.ride(Draft("a", "k", "two"))
    async with opened() as ledger:
        assert [r.key for r in ledger.select("true")] == ["one"]


async def test_a_record_that_cannot_be_stored_takes_no_rider_with_it(opened: Opened) -> None:
    async with opened() as ledger:
        ledger.ride(Draft("a", "k", "one"))
        with pytest.raises(LedgerFailure, match="did not store"):
            await ledger.append(Draft("a", "k", "\ud800"))
        ledger.ride(Draft("a", "k", "\ud800"))
        await ledger.append(Draft("a", "k", "two"))
        assert [r.key for r in ledger.select("true order by seq")] == ["one", "two"]


async def test_who_listens_to_a_book_hears_what_was_stored_with_its_records(opened: Opened) -> None:
    heard: list[list[str]] = []
    async with opened() as ledger:
        ledger.on_commit(lambda records: heard.append([r.key for r in records]), "a")
        await ledger.append(Draft("b", "k", "one"))
        await ledger.append(Draft("b", "k", "two"), Draft("a", "k", "three"))
    assert heard == [["two", "three"]]


async def test_more_rows_than_one_statement_takes_are_stored_all_or_none(opened: Opened) -> None:
    async with opened() as ledger:
        many = [Draft("a", "k", str(n)) for n in range(2_500)]
        records = await ledger.append(*many, once=True)
        assert [r.seq for r in records] == list(range(1, 2_501))
        assert [r.key for r in ledger.select("true order by seq")] == [d.key for d in many]
        assert await ledger.append(*many, once=True) == []
        with pytest.raises(LedgerFailure):
            await ledger.append(*many, Draft("a", "k", "\ud800"))
        assert len(list(ledger.select("true"))) == 2_500


async def test_the_newest_of_a_kind_are_found_without_a_look_at_the_others(opened: Opened, tmp_path: Path) -> None:
    async with opened() as ledger:
        await ledger.append(Draft("a", "rare", "one"), *(Draft("a", "k", str(n)) for n in range(10)))
        assert [r.key for r in ledger.book("a").newest("rare", 5)] == ["one"]
        [path] = tmp_path.rglob("*.db")
        with closing(sqlite3.connect(path)) as db:
            query = "select * from records where book=? and kind=? and seq<=? order by seq desc limit ?"
            plan = db.execute(f"explain query plan {query}", ("a", "rare", 99, 5)).fetchall()
        assert [row[-1] for row in plan] == ["SEARCH records USING INDEX records_by_kind (book=? AND kind=? AND seq<?)"]
