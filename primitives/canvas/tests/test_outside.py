"""What is done to the file outside aegis: it is seen, it is the person's, and it is never guessed at."""

from __future__ import annotations

import os
import subprocess

import pytest
import trio
from canvas_stage import ANNA, BO, PLAN, House, settled

from aegis import Refused
from aegis_canvas.document import Document, written
from aegis_canvas.mailing import Mailing
from aegis_canvas.scribe import Scribe
from aegis_canvas.shelf import Shelf


@pytest.fixture
async def watched(house: House) -> House:
    """A house whose plan Anna watches, with its file under watch."""
    await house.open()
    await house.call("subscribe", name="plan")
    await settled()
    return house


def replaced(house: House, text: str) -> None:
    """Save as editors do: a new file, moved over the old one."""
    new = house.plan.with_name("plan.md~")
    new.write_text(text)
    new.replace(house.plan)


async def test_an_edit_is_seen_and_is_the_persons(watched: House):
    agent = await watched.agent("eve", watches=True)
    watched.plan.write_text(PLAN.replace("None yet.", "From an editor.\nTwo lines."))
    assert await watched.mailed(1) == [
        'section "Data" · edited by human (+2 / -1 lines) · version 2\n──\nFrom an editor.\nTwo lines.'
    ]
    await settled()
    assert "edited by human" in watched.heard(agent)[0]
    log = await watched.call("log", name="plan")
    assert (log[0].by, log[0].op, log[0].section, log[0].version) == ("human", "edited", "Data", 2)


async def test_an_editor_that_replaces_the_file_is_seen_again_and_again(watched: House):
    for n in range(1, 4):
        replaced(watched, PLAN.replace("Ship it.", f"Ship {n}."))
        await watched.mailed(n)
    assert [body.splitlines()[2] for body in watched.bodies()] == ["Ship 1.", "Ship 2.", "Ship 3."]


async def test_a_checkout_is_seen_with_all_that_it_changed(watched: House):
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


async def test_own_writes_are_not_taken_for_a_strangers(watched: House):
    for n in range(5):
        await watched.write("Data", f"step {n}", BO)
    os.utime(watched.plan)
    assert (await watched.call("open", name="plan")).version == 6
    await settled()
    assert [c.by for c in await watched.call("log", name="plan", section="Data")][:-1] == ["human:bo"] * 5
    assert len(watched.bodies()) == 5


async def test_a_write_takes_in_what_was_done_a_moment_ago(watched: House):
    watched.plan.write_text(PLAN.replace("None yet.", "From an editor."))
    done = await watched.write("Goals", "Mine.", BO)
    assert done.version == 3
    assert watched.plan.read_text() == PLAN.replace("None yet.", "From an editor.").replace("Ship it.", "Mine.")
    assert [c.by for c in await watched.call("log", name="plan", count=2)] == ["human:bo", "human"]


async def test_an_edit_between_the_look_and_the_write_is_not_lost(watched: House):
    """The person saves at the last moment: while the text for the other section is being put together."""
    shelf = Shelf(watched.kernel)
    shelf.restore()
    scribe = Scribe(watched.kernel, shelf, Mailing(watched.kernel, shelf), outside=False)
    saves = iter([PLAN.replace("None yet.", "Saved.")])

    def compose(document: Document) -> Document:
        if text := next(saves, ""):
            watched.plan.write_text(text)
        return written(document, "Goals", "Mine.")

    await scribe.change(shelf.find("plan"), BO, "written", lambda _: None, compose)
    assert watched.plan.read_text() == PLAN.replace("None yet.", "Saved.").replace("Ship it.", "Mine.")
    assert len(watched.kernel.ledger.book("canvas").newest("dropped", 9)) == 1


async def test_a_deleted_file_is_said_and_can_be_written_anew(watched: House):
    watched.plan.unlink()
    [body] = await watched.mailed(1)
    assert body == "plan.md is not there: it was deleted or moved outside aegis · version 1"
    [plan] = await watched.call("list")
    assert plan.condition.startswith("is not there")
    with pytest.raises(Refused, match=r"plan cannot be used: plan.md is not there.*canvas undo plan"):
        await watched.write("Data", "x")
    assert (await watched.call("show", name="plan")).content == PLAN
    assert (await watched.call("undo", BO, name="plan")).version == 2
    assert watched.plan.read_text() == PLAN
    [plan] = await watched.call("list")
    assert plan.condition == ""


async def test_a_file_that_comes_back_is_said(watched: House):
    watched.plan.rename(watched.plan.with_name("away.md"))
    await watched.mailed(1)
    watched.plan.with_name("away.md").rename(watched.plan)
    [_, body] = await watched.mailed(2)
    assert body == "plan.md is back, and as it was · version 1"


async def test_a_folder_that_goes_and_comes_back_is_watched_again(house: House):
    folder = house.kernel.project.root / "docs"
    await house.call("open", name="plan", file="docs/plan.md")
    await house.write("A", "a", BO)
    await house.call("subscribe", name="plan")
    await settled()
    folder.rename(folder.with_name("gone"))
    await house.mailed(1)
    folder.mkdir()
    await settled()
    (folder / "plan.md").write_text("## A\n\nnew\n")
    [_, body] = await house.mailed(2)
    assert body.splitlines() == ['section "A" · edited by human (+1 / -1 lines) · version 3', "──", "new"]
    (folder / "plan.md").write_text("## A\n\nnewer\n")
    assert (await house.mailed(3))[2].endswith("newer")


@pytest.mark.parametrize(("put", "why"), [
    (lambda plan: plan.write_bytes(b"## A\n\xff\n"), "it is no UTF-8 text (invalid start byte at byte 5)"),
    (lambda plan: (plan.unlink(), plan.mkdir()), "cannot be read: it is no regular file"),
    (lambda plan: (plan.unlink(), os.mkfifo(plan)), "cannot be read: it is no regular file"),
    (lambda plan: (plan.unlink(), plan.symlink_to("/etc/hostname")), "leads out of the project"),
])  # fmt: skip
async def test_what_is_no_text_is_said_and_not_touched(watched: House, put, why):
    put(watched.plan)
    [body] = await watched.mailed(1)
    assert why in body
    with pytest.raises(Refused, match="plan cannot be used"):
        await watched.write("Data", "x", version=1)
    assert len(watched.bodies()) == 1


async def test_an_edit_while_aegis_was_not_running_is_noticed_at_start(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.open()
        await house.call("subscribe", name="plan")
    house.plan.write_text(PLAN.replace("None yet.", "In the night."))
    async with kernel_with(**plugins) as kernel:
        assert await House(kernel, echo).mailed(1) == [
            'section "Data" · edited by human (+1 / -1 lines) · version 2\n──\nIn the night.'
        ]


async def test_who_holds_a_claim_is_told_of_an_edit_though_it_does_not_watch(watched: House):
    await watched.call("claim", BO, name="plan", section="Data")
    watched.plan.write_text(PLAN.replace("None yet.", "Over it."))
    assert (await watched.mailed(1, "human:bo"))[0].startswith('section "Data" · edited by human')


async def test_an_edit_of_the_space_between_wakes_nobody(watched: House):
    watched.plan.write_text(PLAN + "\n\n")
    assert (await watched.read(caller=ANNA)).version == 2
    assert watched.bodies() == []
