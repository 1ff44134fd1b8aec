"""What is done to the file outside aegis: it is seen, it is the person's, and it is never guessed at."""

from __future__ import annotations

import os
import subprocess

import pytest
import trio
from canvas_stage import ANNA, BO, PLAN, Stage, settled

from aegis import Kernel, Refused
from aegis.ledger import Record
from aegis_canvas.document import Document
from aegis_canvas.edits import written
from aegis_canvas.headings import Judged
from aegis_canvas.notifier import Notifier
from aegis_canvas.settings import CanvasSettings
from aegis_canvas.store import Canvas, Store
from aegis_canvas.teller import Teller
from aegis_canvas.writer import Writer


@pytest.fixture
async def watched(stage: Stage) -> Stage:
    """A stage whose plan Anna watches, with its file under watch."""
    await stage.open()
    await stage.call("subscribe", name="plan")
    await settled()
    return stage


def replaced(stage: Stage, text: str) -> None:
    """Save as editors do: a new file, moved over the old one."""
    new = stage.plan.with_name("plan.md~")
    new.write_text(text)
    new.replace(stage.plan)


async def test_an_edit_is_seen_and_is_the_persons(watched: Stage):
    agent = await watched.agent("eve", watches=True)
    watched.plan.write_text(PLAN.replace("None yet.", "From an editor.\nTwo lines."))
    assert await watched.mailed(1) == [
        'section "Data" · edited by human (+2 / -1 lines) · version 2\n──\nFrom an editor.\nTwo lines.'
    ]
    await settled()
    assert "edited by human" in watched.heard(agent)[0]
    log = await watched.call("log", name="plan")
    assert (log[0].by, log[0].op, log[0].section, log[0].version) == ("human", "edited", "Data", 2)


async def test_an_editor_that_replaces_the_file_is_seen_again_and_again(watched: Stage):
    for n in range(1, 4):
        replaced(watched, PLAN.replace("Ship it.", f"Ship {n}."))
        await watched.mailed(n)
    assert [body.splitlines()[2] for body in watched.bodies()] == ["Ship 1.", "Ship 2.", "Ship 3."]


async def test_a_checkout_is_seen_with_all_that_it_changed(watched: Stage):
    root = watched.kernel.project.root

    def git(*arguments: str) -> None:
        config = ["-c", "user.name=anna", "-c", "user.email=anna@localhost"]
        subprocess.run(["git", *config, *arguments], cwd=root, check=True, capture_output=True)

    await trio.to_thread.run_sync(
        lambda: (git("init", "-b", "main"), git("add", "plan.md"), git("commit", "-m", "one"))
    )
    await watched.write("Goals", "Other.", BO)
    await watched.write("More", "m", BO)
    await trio.to_thread.run_sync(git, "checkout", "plan.md")
    [*_, last] = await watched.mailed(3)
    assert last == (
        'section "Goals" · edited by human (+1 / -1 lines) · version 4\n──\nShip it.\n\n'
        'section "More" · removed by human (+0 / -1 lines) · version 4\n──\n(empty)'
    )


async def test_own_writes_are_not_taken_for_a_strangers(watched: Stage):
    for n in range(5):
        await watched.write("Data", f"step {n}", BO)
    os.utime(watched.plan)
    assert (await watched.call("open", name="plan")).version == 6
    await settled()
    assert [c.by for c in await watched.call("log", name="plan", section="Data")][:-1] == ["human:bo"] * 5
    assert len(watched.bodies()) == 5


async def test_a_write_takes_in_what_was_done_a_moment_ago(watched: Stage):
    watched.plan.write_text(PLAN.replace("None yet.", "From an editor."))
    done = await watched.write("Goals", "Mine.", BO)
    assert done.version == 3
    assert watched.plan.read_text() == PLAN.replace("None yet.", "From an editor.").replace("Ship it.", "Mine.")
    assert [c.by for c in await watched.call("log", name="plan", count=2)] == ["human:bo", "human"]


class Alone:
    """A writer without the plugin, whose watch would take part, and a canvas."""

    def __init__(self, kernel: Kernel) -> None:
        self.store = Store(kernel)
        self.store.restore()
        notifier = Notifier(kernel, self.store)
        settings = {"plugins.canvas": CanvasSettings()}
        self.writer = Writer(kernel, self.store, notifier, Teller(self.store, notifier), settings)

    async def open(self) -> Canvas:
        await self.writer.open(Canvas("01PLAN", "plan", "plan.md", self.writer.now(), str(ANNA)), ANNA)
        return self.store.find("plan")


async def test_an_edit_while_a_change_is_put_together_is_not_lost(kernel_with, project):
    """The person saves at the last moment: while the text for the other section is being put together."""
    plan = project / "plan.md"
    plan.write_text(PLAN)
    saves = iter([PLAN.replace("None yet.", "Saved.")])

    def compose(document: Document, _: Judged) -> Document:
        if text := next(saves, ""):
            plan.write_text(text)
        return written(document, "Goals", "Mine.")

    async with kernel_with() as kernel:
        alone = Alone(kernel)
        canvas = await alone.open()
        await alone.writer.change(canvas, BO, "written", lambda _: None, compose)
        assert plan.read_text() == PLAN.replace("None yet.", "Saved.").replace("Ship it.", "Mine.")
        assert [revision.by for revision in alone.store.history(canvas)] == ["", "human", "human:bo"]


async def test_an_edit_between_the_record_and_the_file_is_not_lost_and_the_record_is_taken_back(kernel_with, project):
    """The person saves later still: when the change is stored, and its file not yet in its place."""
    plan = project / "plan.md"
    plan.write_text(PLAN)
    saves = iter([PLAN.replace("None yet.", "Saved.")])

    def on_commit(records: list[Record]) -> None:
        stored = any(record.kind == "revised" and record.data["by"] == str(BO) for record in records)
        if stored and (text := next(saves, "")):
            plan.write_text(text)

    async with kernel_with() as kernel:
        alone = Alone(kernel)
        canvas = await alone.open()
        kernel.ledger.on_commit(on_commit)
        made = await alone.writer.change(
            canvas, BO, "written", lambda _: None, lambda document, _: written(document, "Goals", "Mine.")
        )
        assert plan.read_text() == PLAN.replace("None yet.", "Saved.").replace("Ship it.", "Mine.")
        assert len(kernel.ledger.book("canvas").newest("dropped", 9)) == 1
        history = [(revision.n, revision.by) for revision in alone.store.history(canvas)]
        assert history == [(1, ""), (2, "human"), (3, "human:bo")] and made.n == 3
        assert [(r.n, r.by) for r in alone.store.history(canvas, newest=True)] == history[::-1]
        again = Store(kernel)
        again.restore()
        assert again.find("plan") == canvas


async def test_a_deleted_file_is_said_and_can_be_written_again(watched: Stage):
    watched.plan.unlink()
    [body] = await watched.mailed(1)
    assert body == "plan.md does not exist: it was deleted or moved outside aegis · version 1"
    [plan] = await watched.call("list")
    assert plan.condition.startswith("does not exist")
    with pytest.raises(Refused, match=r"plan cannot be used: plan.md does not exist.*canvas undo plan"):
        await watched.write("Data", "x")
    assert (await watched.call("show", name="plan")).content == PLAN
    assert (await watched.call("undo", BO, name="plan")).version == 2
    assert watched.plan.read_text() == PLAN
    [plan] = await watched.call("list")
    assert plan.condition == ""


async def test_a_file_that_comes_back_is_said(watched: Stage):
    watched.plan.rename(watched.plan.with_name("away.md"))
    await watched.mailed(1)
    watched.plan.with_name("away.md").rename(watched.plan)
    [_, body] = await watched.mailed(2)
    assert body == "plan.md is back, with the text it had · version 1"


async def test_a_folder_that_goes_and_comes_back_is_watched_again(stage: Stage):
    folder = stage.kernel.project.root / "docs"
    await stage.call("open", name="plan", file="docs/plan.md")
    await stage.write("A", "a", BO)
    await stage.call("subscribe", name="plan")
    await settled()
    folder.rename(folder.with_name("gone"))
    await stage.mailed(1)
    folder.mkdir()
    await settled()
    (folder / "plan.md").write_text("## A\n\nnew\n")
    [_, body] = await stage.mailed(2)
    assert body.splitlines() == ['section "A" · edited by human (+1 / -1 lines) · version 3', "──", "new"]
    (folder / "plan.md").write_text("## A\n\nnewer\n")
    assert (await stage.mailed(3))[2].endswith("newer")


@pytest.mark.parametrize(("put", "why"), [
    (lambda plan: plan.write_bytes(b"## A\n\xff\n"), "it is not UTF-8 text (invalid start byte at byte 5)"),
    (lambda plan: (plan.unlink(), plan.mkdir()), "cannot be read: it is not a regular file"),
    (lambda plan: (plan.unlink(), os.mkfifo(plan)), "cannot be read: it is not a regular file"),
    (lambda plan: (plan.unlink(), plan.symlink_to("/etc/hostname")), "leads out of the project"),
])  # fmt: skip
async def test_what_is_no_text_is_said_and_not_touched(watched: Stage, put, why):
    put(watched.plan)
    [body] = await watched.mailed(1)
    assert why in body
    with pytest.raises(Refused, match="plan cannot be used"):
        await watched.write("Data", "x", version=1)
    assert len(watched.bodies()) == 1


async def test_an_edit_while_aegis_was_not_running_is_noticed_at_start(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.open()
        await stage.call("subscribe", name="plan")
    stage.plan.write_text(PLAN.replace("None yet.", "In the night."))
    async with kernel_with(**plugins) as kernel:
        assert await Stage(kernel, echo).mailed(1) == [
            'section "Data" · edited by human (+1 / -1 lines) · version 2\n──\nIn the night.'
        ]


async def test_who_holds_a_claim_is_told_of_an_edit_though_it_does_not_watcher(watched: Stage):
    await watched.call("claim", BO, name="plan", section="Data")
    watched.plan.write_text(PLAN.replace("None yet.", "Over it."))
    assert (await watched.mailed(1, "human:bo"))[0].startswith('section "Data" · edited by human')


async def test_an_edit_of_the_space_between_wakes_nobody(watched: Stage):
    watched.plan.write_text(PLAN + "\n\n")
    assert (await watched.read(caller=ANNA)).version == 2
    assert watched.bodies() == []
