"""Terminals, canvases, groups and runs: so many of an agent, so many in all, and people open what they like."""

from __future__ import annotations

import pytest

from aegis import Refused

CASES = {
    "terminals": ("term spawn", lambda n: {"name": f"t{n}"}),
    "canvases": ("canvas open", lambda n: {"name": f"c{n}", "file": f"c{n}.md"}),
    "groups": ("group spawn", lambda n: {"group": f"g{n}", "profile": "echo"}),
}


@pytest.fixture
async def pair(stage):
    return await stage.spawn("bob"), await stage.spawn("ann")


@pytest.mark.parametrize("kind", CASES)
async def test_an_agent_has_so_many_and_all_together_so_many(stage, pair, limits, kind):
    limits(**{f"max_{kind}_by_agent": 2, f"max_{kind}": 3})
    await stage.kernel.config.refresh()
    verb, args = CASES[kind]
    for n in range(2):
        await stage.call(verb, pair[0], **args(n))
    with pytest.raises(Refused, match=rf"limits.max_{kind}_by_agent is 2"):
        await stage.call(verb, pair[0], **args(2))
    await stage.call(verb, pair[1], **args(2))
    with pytest.raises(Refused, match=rf"limits.max_{kind} is 3"):
        await stage.call(verb, pair[1], **args(3))
    await stage.call(verb, **args(4))  # a person goes on
    if kind == "canvases":
        await stage.call(verb, pair[0], **args(1))  # what is there is not made


async def test_what_failed_or_is_gone_does_not_count(stage, pair, limits):
    limits(max_terminals_by_agent=1)
    await stage.kernel.config.refresh()
    for _ in range(3):
        with pytest.raises(Refused, match="no folder"):
            await stage.call("term spawn", pair[0], name="t", cwd="nowhere")
    await stage.call("term spawn", pair[0], name="t")
    await stage.call("term close", name="t", purge=True)
    await stage.call("term spawn", pair[0], name="u")


async def test_a_group_has_so_many_members(stage, pair, limits):
    limits(max_group_members=3, max_spawned_by_agent=10)
    await stage.kernel.config.refresh()
    with pytest.raises(Refused, match=r"limits.max_group_members is 3"):
        await stage.call("group spawn-mixed", pair[0], group="g", profiles=["echo"] * 4)
    await stage.call("group spawn-mixed", pair[0], group="g", profiles=["echo"] * 3)
    with pytest.raises(Refused, match=r"g would have 4 members"):
        await stage.call("group spawn", pair[0], group="g", profile="echo")


async def test_the_post_is_held_to_the_settings(stage, pair, limits):
    limits(mailbox_letters=7, mailbox_bytes=5_000, turn_bytes=2_000)
    await stage.kernel.config.refresh()
    assert tuple(stage.kernel.post.limits) == (7, 5_000, 2_000)
    await stage.kernel.plugins.leave("limits")
    assert tuple(stage.kernel.post.limits) == (1_000, 4_000_000, 200_000)
