"""Canvases while their plugin leaves and enters again, and while settings change: nothing left over, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from canvas_stage import ANNA, BO, PLAN, Stage, settled, until

import aegis_canvas.plugin
from aegis import NotFound, Refused
from aegis.testing.registries import owners


async def test_after_the_plugin_left_and_came_back_all_is_there_and_watched(stage: Stage):
    kernel = stage.kernel
    await stage.open()
    await settled()
    eve, bob = await stage.agent("eve", watches=True), await stage.agent("bob", watches=True)
    await stage.call("claim", eve, name="plan", section="Goals")
    here = owners(kernel)
    await kernel.plugins.leave("canvas")
    assert "'canvas'" not in str(owners(kernel))
    with pytest.raises(NotFound, match="there is no verb 'canvas list'"):
        await stage.call("list")
    await kernel.roster.close(bob)
    stage.plan.write_text(PLAN.replace("None yet.", "By hand."))
    await kernel.plugins.enter("canvas", aegis_canvas.plugin)
    await until(lambda: stage.heard(eve))
    assert "edited by human" in stage.heard(eve)[0], "what was done meanwhile is told"
    assert owners(kernel) == here
    [plan] = await stage.call("list")
    assert (plan.subscribers, [s.claimed_by for s in plan.sections]) == (["eve"], ["", "eve", ""])
    with pytest.raises(Refused, match="is claimed by eve"):
        await stage.write("Goals", "Mine.")
    stage.plan.write_text(PLAN.replace("None yet.", "By hand again."))
    await until(lambda: len(stage.heard(eve)) == 2)
    assert (await stage.write("Data", "Written.", BO)).version == 4


async def test_a_change_that_has_begun_is_finished_before_the_plugin_is_gone(stage: Stage):
    await stage.open()
    done: list[int] = []
    refused: list[str] = []

    async def write(number: int) -> None:
        try:
            done.append((await stage.call("append", name="plan", section="Data", text=f"line {number}")).version)
        except Refused as refusal:
            refused.append(str(refusal))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(write, number)
        await trio.testing.wait_all_tasks_blocked()
        await stage.kernel.plugins.leave("canvas")
        await stage.kernel.plugins.enter("canvas", aegis_canvas.plugin)
    lines = (await stage.read("Data")).content.splitlines()
    assert len(lines) - 1 == len(done) > 0
    assert set(refused) == {"aegis-canvas was stopped; nothing was changed"}
    versions = [change.version for change in await stage.call("log", name="plan", count=100)]
    assert [version for version in versions if version > 1] == sorted(done, reverse=True)


async def test_a_changed_section_counts_at_once(stage: Stage, project: Path, tmp_path: Path):
    (tmp_path / "notes.md").write_text(PLAN)
    with pytest.raises(Refused, match=r"unless a person sets plugins.canvas.outside: true"):
        await stage.call("open", ANNA, name="plan", file="../notes.md")
    (project / ".aegis.yaml").write_text("plugins: {canvas: {outside: true}}\n")
    await stage.kernel.config.refresh()
    assert (await stage.call("open", ANNA, name="plan", file="../notes.md")).version == 1
    (project / ".aegis.yaml").write_text("")
    await stage.kernel.config.refresh()
    with pytest.raises(Refused, match="leads out of the project"):
        await stage.read()
