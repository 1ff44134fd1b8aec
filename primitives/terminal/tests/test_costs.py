"""What a command and its output cost, in counts; and that a command that is not stored is not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from terminal_stage import ANNA, Stage, needs

from aegis import LedgerError
from aegis.ledger import Record
from aegis_patterns.words import Words
from aegis_processes.processes import MARK
from aegis_terminal.job import Job
from aegis_terminal.raw_log import RawLog
from aegis_terminal.secrets import _DEFAULTS, Secrets
from aegis_terminal.shell import prepared_shell
from aegis_terminal.terminal import Terminal

NONE = Secrets(tuple, {})
pytestmark = needs["bash"]


async def test_a_run_is_two_commits_however_much_it_says(stage: Stage) -> None:
    await stage.spawn("bash")
    for cmd in ("true", "seq 1 20000", "true"):
        before = stage.kernel.ledger.counts.copy()
        await stage.run(cmd)
        spent = stage.kernel.ledger.counts - before
        assert (spent.appends, spent.commits, spent.rows, spent.queries) == (2, 2, 2, 0)
        assert spent.written < 100_000


async def test_a_command_does_not_begin_before_it_is_stored(stage: Stage) -> None:
    await stage.spawn("bash")
    file = stage.kernel.project.root / "made"
    there: list[bool] = []

    def on_commit(records: list[Record]) -> None:
        there.extend(file.exists() for record in records if record.kind == "began")

    stage.kernel.ledger.on_commit(on_commit)
    for _ in range(3):
        await stage.run(f"touch {file}")
        assert file.exists()
        file.unlink()
    assert there == [False] * 3


@pytest.mark.parametrize("kind", ["bash", "sh"])
async def test_a_command_that_cannot_be_stored_is_not_run_and_the_next_one_is(tmp_path: Path, kind: str) -> None:
    folder, made = tmp_path / "shell", tmp_path / "made"
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", MARK: "01TEST"}
    prepared = prepared_shell(kind, folder, env)

    async def begin(job: Job) -> None:
        if "made" in job.command:
            await trio.testing.wait_all_tasks_blocked(0.05)
            raise LedgerError("the disk is full")

    async def keep(job: Job) -> None:
        pass

    log = RawLog(tmp_path / "raw.log", NONE, lambda words: None)
    terminal = Terminal("one", folder, prepared, NONE, log, begin=begin, keep=keep)
    async with trio.open_nursery() as nursery:
        await nursery.start(terminal.live, env | prepared.env, tmp_path)
        with trio.fail_after(30):
            for command, code in ((f"touch {made}", None), ("(exit 3)", 3), (f"touch {made}", None), ("(exit 4)", 4)):
                job = Job(ANNA, "human", command, 20)
                await terminal.put(job)
                await job.done.wait()
                assert (job.code, str(job.error or "")) == (code, "" if code else "the disk is full")
            assert not made.exists()
        await terminal.close()


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["GHP_", "ghp_", "sk-", "asiaiza", "xox", "x", "\xe9", "\n", "secret_token", "to", "ken", "://"]
        )
    )
)
@example(["asiaiza"])
def test_all_words_are_found_at_once_where_each_is_found_alone(pieces: list[str]) -> None:
    text = "".join(pieces)
    low, alone = text.lower(), []
    for word in _DEFAULTS:
        alone += [(at, at + len(word)) for at in range(len(low)) if low.startswith(word, at)]
    assert list(Words(_DEFAULTS, any_case=True).places(text.encode("latin-1"))) == sorted(alone)


def test_no_beginning_of_a_secret_begins_with_another() -> None:
    assert not [(a, b) for a in _DEFAULTS for b in _DEFAULTS if a != b and a.startswith(b)]


def test_values_of_which_one_begins_with_another_are_all_cut_out() -> None:
    values = {"A_KEY": "abcdefgh", "B_KEY": "abcdefghijkl", "C_KEY": "gr\xfc\xdfe-\u8a08\u753b-1", "D_KEY": "k" * 600}
    known = Secrets(tuple, values)
    for value in values.values():
        assert value[:8] not in known.cut(f"x{value}y\n")
        assert known.cut_bytes(b"x" + value.encode() + b"y\n") == b"x[redacted]y\n"
