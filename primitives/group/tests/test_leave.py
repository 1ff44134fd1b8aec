"""Groups while their plugin leaves and enters again, and while settings change: nothing is left over, nothing lost."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from group_stage import Stage, settled, until

import aegis_group.plugin
from aegis import NotFound
from aegis.testing.registries import owners


async def test_when_the_plugin_leaves_its_broadcasts_end_and_all_are_told(stage: Stage):
    kernel, results = stage.kernel, list[Any]()
    stage.echo.driver.gated = True
    lead = await kernel.roster.spawn("sec", "lead")
    await stage.call("group spawn-mixed", lead, group="mine", profiles=["api", "style"])
    members = (await stage.call("group status", group="mine")).members
    await stage.call("send", handle=members["style"], text="first this")  # so it does not begin with the question
    await until(lambda: stage.session(members["style"]).heard)
    asked = await stage.ask("mine", lead, callback=True)
    await until(lambda: stage.session(members["api"]).heard)
    here = owners(kernel)

    async def wait() -> None:
        results.append(await stage.call("group wait-all", group="mine", broadcast_id=asked))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await settled()
        await kernel.plugins.leave("group")
    [result] = results
    assert (result.ended, {r.label: r.status for r in result.by_member.values()}) == (
        "stopped", {"api": "canceled", "style": "canceled"},
    )  # fmt: skip
    assert lead.expecting == {}, "nobody waits for what will not come"
    assert "'group'" not in str(owners(kernel))
    with pytest.raises(NotFound, match="there is no verb 'group list'"):
        await stage.call("group list")
    for handle in ("lead", *members.values()):
        stage.session(handle).gate.set()
    await until(lambda: "ended: stopped" in stage.session("lead").heard[-1])  # the callback
    await until(lambda: stage.session(members["api"]).heard[-1].endswith("aegis-group was stopped"))
    assert "objective" not in "".join(stage.session(members["style"]).heard), "the question was taken back"

    await kernel.plugins.enter("group", aegis_group.plugin)
    await until(lambda: owners(kernel) == here)
    [view] = await stage.call("group list")
    assert (view.members, view.open_broadcasts) == (members, {})
    again = await stage.call("group wait-all", group="mine", broadcast_id=asked)
    assert (again.ended, again.by_member) == ("stopped", result.by_member)
    await stage.ask("mine")
    assert (await stage.call("group wait-all", group="mine")).ended == "all"


async def test_members_that_close_while_the_plugin_is_away_are_removed_when_it_enters(stage: Stage):
    members = await stage.gather("sec", "api")
    await stage.kernel.plugins.leave("group")
    await stage.kernel.roster.close(stage.agent(members["sec"]), "closed by human:anna")
    await stage.kernel.roster.rename(stage.agent(members["api"]), "somebody-else")
    await stage.kernel.plugins.enter("group", aegis_group.plugin)
    with trio.fail_after(10):
        while (await stage.call("group status", group="audit")).members != {"api": "somebody-else"}:
            await settled()


async def test_a_changed_section_counts_from_the_next_call_on(stage: Stage, project, config):
    await stage.gather("sec", group="plain")
    (project / ".aegis.yaml").write_text(
        config.replace("broadcast_timeout: 60", "default_reducer: last_wins")
        + "    trio: {profiles: [sec, api, style]}\n"
    )
    await stage.kernel.config.refresh()
    assert stage.kernel.verbs.completions("preset") == ["review", "trio"]
    assert (await stage.call("group spawn-mixed", group="three", preset="trio")).handles.keys() == {
        "sec", "api", "style",
    }  # fmt: skip
    await stage.ask("plain")
    assert (await stage.call("group wait-all", group="plain")).metadata["reducer"] == "last_wins"
