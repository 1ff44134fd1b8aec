"""The kernel dies at every sync of its disk; nothing that was acknowledged may be lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from crash_check import recovered, stored

from aegis.errors import AegisError
from aegis.testing.crash import Crash, compiled, walk

SCENARIO = [sys.executable, str(Path(__file__).with_name("crash_scenario.py"))]
KINDS = {
    ("roster", "spawned"), ("roster", "session"), ("roster", "renamed"), ("roster", "slept"),
    ("roster", "closed"),
    ("mail", "accepted"), ("mail", "injected"), ("mail", "ended"), ("mail", "turn"), ("mail", "dead"), ("mail", "read"),
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the crash harness works on Linux only")


@pytest.mark.timeout(300)
def test_nothing_is_lost_whichever_write_the_kernel_dies_at() -> None:
    kinds: set[tuple[str, str]] = set()
    durable: list[int] = []

    def check(disk: Path, notes: Path) -> None:
        rows = stored(disk)
        durable.append(len(rows))
        kinds.update((book, kind) for book, kind, *_ in rows)
        recovered(disk, notes)

    found = walk(SCENARIO, check)
    assert not found.failures, str(found)
    died = {(c.sync, c.when) for c in found.crashes}
    every = {(n, when) for n in range(1, len(found.syncs) + 1) for when in ("before", "after")}
    assert died == every | {(0, "after")}, "a sync was passed over"
    assert len(found.syncs) > 40, "the scenario writes less than it should"
    assert kinds == KINDS, "the scenario must write every kind of record there is"
    assert len(set(durable)) > len(found.syncs) / 2, "the crashes all left the same disk"


@pytest.mark.timeout(120)
def test_the_walk_finds_a_ledger_that_does_not_sync() -> None:
    found = walk(SCENARIO, recovered, skip="*-wal", enough=3)
    assert len(found.failures) >= 3
    assert {crash.loss for crash in found.failures} == {"power loss"}, str(found)
    assert any("lost" in why or "not there" in why for why in found.failures.values()), str(found)


@pytest.mark.timeout(120)
def test_the_walk_finds_the_one_message_whose_sync_was_left_out() -> None:
    found = walk([*SCENARIO, "token-3"], recovered)
    # What was acknowledged before it was on disk is lost until the next sync takes it along, and at no other moment.
    assert [crash.loss for crash in found.failures] == ["power loss"], str(found)
    assert [crash.when for crash in found.failures] == ["before"], str(found)
    assert list(found.failures.values()) == ["token-3 was accepted and is lost"]


def test_a_scenario_that_fails_by_itself_is_not_taken_for_a_crash() -> None:
    with pytest.raises(AegisError, match=r"failed by itself \(exit 3\): oops"):
        walk([sys.executable, "-c", "import sys; print('oops', file=sys.stderr); sys.exit(3)"], recovered)


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AegisError, match="C compiler"):
        compiled(tmp_path)


def test_a_crash_reads_like_a_sentence() -> None:
    assert str(Crash(7, "before", "power loss")) == "power loss before sync 7"
    assert str(Crash(0, "after", "kill -9")) == "kill -9 after the end"
