"""Restarting an agent: another CLI, the same handle, the same mail."""

from __future__ import annotations

import pytest
import trio

from aegis import Caller, Refused

ANNA = Caller("human", "anna")


async def test_its_cli_is_started_again_and_it_keeps_handle_conversation_and_mail(stage):
    agent = await stage.spawn("calm-codd")
    before = stage.session(agent)
    before.gate = trio.Event()
    first = await stage.call("send", handle="calm-codd", text="one")
    await trio.testing.wait_all_tasks_blocked(0.02)
    agent.turn.begun.set()  # the CLI gave a sign of life
    second = await stage.call("send", handle="calm-codd", text="two")
    assert str(await stage.call("restart", handle="calm-codd")) == "calm-codd resumed"
    now = stage.session(agent)
    assert now is not before and now.session_id == before.session_id
    cut = await stage.kernel.post.wait_turn(first.id)
    assert (cut.outcome, cut.reason) == ("interrupted", "restarted by human:anna")
    assert (await stage.kernel.post.wait_turn(second.id)).outcome == "completed"
    assert (agent.handle, stage.kernel.roster.find("calm-codd")) == ("calm-codd", agent)
    assert (await stage.call("send", handle="calm-codd", text="three", wait=True)).endswith("three")


async def test_one_that_has_failed_takes_mail_again_once_its_cli_starts(stage):
    agent = await stage.spawn("calm-codd")
    agent.crashed("no network")
    with pytest.raises(Refused, match="has failed: no network"):
        await stage.call("send", handle="calm-codd", text="hello")
    await stage.call("restart", handle="calm-codd")
    assert (await stage.call("send", handle="calm-codd", text="hello", wait=True)).endswith("hello")


async def test_one_that_is_stopped_is_started(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("echo", "ann")
    async with kernel_with(**plugins) as kernel:
        assert str(await kernel.verbs.call(ANNA, "restart", {"handle": "ann"})) == "ann resumed"
        assert kernel.roster.find("ann").state == "idle"


async def test_one_that_sleeps_is_opened_by_its_name_only(stage):
    agent = await stage.spawn("calm-codd")
    await agent.sleep()
    assert await stage.call("reopen") == []
    assert [str(row) for row in await stage.call("reopen", handle="calm-codd")] == ["calm-codd resumed"]
    await agent.sleep()
    assert str(await stage.call("restart", handle="calm-codd")) == "calm-codd resumed"


async def test_one_that_is_closed_meanwhile_is_not_brought_back(stage):
    agent = await stage.spawn("calm-codd")
    said: list[str] = []

    async def restart() -> None:
        try:
            said.append(str(await stage.call("restart", handle="calm-codd")))
        except Refused as refusal:
            said.append(str(refusal))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(restart)
        nursery.start_soon(stage.kernel.roster.close, agent)
    assert stage.kernel.roster.live() == set()
    assert len(said) == 1


async def test_an_agent_restarts_nobody_elses_through_any_program(stage):
    anna, stranger = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    child = await stage.spawn("kind-karp", by=anna)
    caller = stage.kernel.roster.caller(anna).through("group", "trio")
    with pytest.raises(Refused, match="wry-hopper is neither"):
        await stage.call("restart", caller, handle=stranger.handle)
    await stage.call("restart", caller, handle=child.handle)
