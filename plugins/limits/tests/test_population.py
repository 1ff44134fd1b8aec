"""Agents start so many others, alive at once and in a minute; people and queues are bounded by what people set."""

from __future__ import annotations

import pytest
import trio

from aegis import Caller, Refused


@pytest.fixture
async def bob(stage):
    return await stage.spawn("bob")


async def spawns(stage, caller, number):
    """Have so many agents started at the same time; return how many came, and what the others were told."""
    came, said = [], set()

    async def one():
        try:
            came.append(await stage.call("spawn", caller, agent="echo"))
        except Refused as refusal:
            said.add(str(refusal).split(" (")[0])

    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(one)
    return len(came), said


async def test_of_thirty_spawns_four_are_done_also_when_asked_for_at_once(stage, bob):
    came, _ = await spawns(stage, bob, 30)
    assert came == 4 and len(list(stage.kernel.roster)) == 5


async def test_the_refusal_names_the_setting_and_those_that_could_be_closed(stage, bob, limits):
    limits(max_spawned_by_agent=1)
    await stage.kernel.config.refresh()
    made = await stage.call("spawn", bob, agent="echo")
    with pytest.raises(
        Refused, match=rf"has 1 agents alive \({made.handle}; limits.max_spawned_by_agent is 1\); close"
    ):
        await stage.call("spawn", bob, agent="echo")
    await stage.call("close", bob, handle=made.handle)
    await stage.call("spawn", bob, agent="echo")


async def test_what_is_spawned_through_a_program_or_a_group_counts(stage, bob):
    caller = stage.kernel.roster.caller(bob)
    await stage.call("group spawn-mixed", bob, group="g", profiles=["echo", "echo"])
    await spawns(stage, caller.through("workflow", "w"), 5)
    assert len(list(stage.kernel.roster)) == 5


async def test_a_chain_of_spawns_ends_at_max_agents_and_a_person_goes_on(stage, bob, limits):
    limits(max_agents=6, max_agents_in_all=8)
    await stage.kernel.config.refresh()
    for _ in range(4):
        for agent in list(stage.kernel.roster):
            await spawns(stage, agent, 2)
    assert len(list(stage.kernel.roster)) == 6
    with pytest.raises(Refused, match=r"6 agents are alive.*limits.max_agents is 6"):
        await stage.call("spawn", list(stage.kernel.roster)[-1], agent="echo")
    assert await spawns(stage, Caller("human", "anna"), 5) == (2, {"8 agents are alive"})


async def test_starting_and_closing_again_and_again_has_a_rate(stage, bob, limits):
    limits(spawns_per_minute=3)
    await stage.kernel.config.refresh()
    for _ in range(3):
        made = await stage.call("spawn", bob, agent="echo")
        await stage.call("close", bob, handle=made.handle)
    with pytest.raises(Refused, match=r"limits.spawns_per_minute is 3"):
        await stage.call("spawn", bob, agent="echo")


async def test_the_workers_of_a_queue_are_bounded_by_the_queue(stage, bob, limits):
    limits(max_spawned_by_agent=0)
    await stage.kernel.config.refresh()
    done = [await stage.call("enqueue", bob, queue="one", payload=f"{n}") for n in range(3)]
    for row in done:
        await stage.call("task wait", task_id=row.task_id)


async def test_a_storm_of_renames_leaves_so_many_handles(stage, bob, limits, clock):
    limits(max_handles=4)
    await stage.kernel.config.refresh()
    names, said = 0, ""
    for n in range(30):
        clock.jump(60)
        try:
            await stage.call("rename", bob, old_handle=bob.handle, new_handle=f"bob-{n}")
            names += 1
        except Refused as refusal:
            said = str(refusal)
    assert names == 3 and "it has had 4 handles (limits.max_handles is 4)" in said
    await stage.call("rename", bob, old_handle=bob.handle, new_handle="bob")
    await stage.call("rename", old_handle="bob", new_handle="robert")
