"""Groups: one question to many, each answer its own, each broadcast with exactly one end."""

from __future__ import annotations

import pytest
import trio
from group_stage import ANNA, House, settled

from aegis import Caller, NotFound, Refused


async def test_everybody_is_asked_and_the_answers_are_one_value(house: House):
    members = await house.gather()
    asked = await house.call("group broadcast", group="audit", objective="look at x", output_format="a list")
    assert asked.members == ("api", "sec", "style")
    result = await house.call("group wait-all", group="audit")
    assert result.ended == "all"
    assert {label: reply.handle for label, reply in result.by_member.items()} == members
    assert {reply.status for reply in result.by_member.values()} == {"done"}
    assert sorted(result.order) == ["api", "sec", "style"]
    for reply in result.by_member.values():
        first, _, *said = reply.text.splitlines()
        assert first.startswith(f"> from group:audit/broadcast:{asked.broadcast_id} · ")
        assert said == ["objective: look at x", "output_format: a list", "tool_guidance: ", "boundaries: "]
    assert result.reduced == result.combined
    assert result.reduced.count("---\n") == 3


async def test_a_result_can_be_had_again_and_with_another_reducer(house: House):
    await house.gather()
    asked = await house.ask()
    first = await house.call("group wait-all", group="audit")
    again = await house.call("group wait-all", group="audit", broadcast_id=asked, reducer="last_wins")
    assert first.by_member == again.by_member
    assert again.reduced == first.by_member[first.order[-1]].text
    with pytest.raises(NotFound, match=r"there is no reducer 'lats_wins' .*Did you mean 'last_wins'\?"):
        await house.call("group wait-all", group="audit", reducer="lats_wins")


async def test_a_stray_turn_is_never_an_answer(house: House):
    house.echo.driver.gated = True
    members = await house.gather("sec")
    session = house.session(members["sec"])
    await house.call("send", handle=members["sec"], text="something else")
    await settled()
    await house.ask()
    session.gate.set()
    result = await house.call("group wait-all", group="audit")
    assert result.by_member["sec"].text.startswith("> from group:audit/broadcast:")
    assert "something else" not in result.by_member["sec"].text


async def test_two_broadcasts_at_once_keep_their_answers_apart(house: House):
    await house.gather()
    one, two = await house.ask(objective="first"), await house.ask(objective="second")
    results = {}

    async def wait(asked: str) -> None:
        results[asked] = await house.call("group wait-all", group="audit", broadcast_id=asked)

    async with trio.open_nursery() as nursery:
        for asked in (two, one):
            nursery.start_soon(wait, asked)
    for asked, word, other in ((one, "first", "second"), (two, "second", "first")):
        texts = [reply.text for reply in results[asked].by_member.values()]
        assert all(word in text and other not in text for text in texts)


async def test_silence_failure_and_closing_are_said_of_each_member(house: House):
    house.echo.driver.gated = True
    members = await house.gather("sec", "api", "style")
    await house.ask()
    await settled()
    await house.agent(members["api"]).interrupt()
    await house.kernel.roster.close(house.agent(members["style"]), "closed by human:anna")
    house.session(members["sec"]).gate.set()
    result = await house.call("group wait-all", group="audit")
    status = {label: reply.status for label, reply in result.by_member.items()}
    assert status == {"sec": "done", "api": "canceled", "style": "lost"}
    assert "closed by human:anna" in result.errors["style"]
    assert (await house.call("group status", group="audit")).members.keys() == {"sec", "api"}


async def test_a_broadcast_nobody_waits_for_ends_at_its_own_deadline(house: House, autojump):
    house.echo.driver.gated = True
    members = await house.gather("sec", "api")
    asked = await house.ask(timeout=5)
    await settled()
    house.session(members["sec"]).gate.set()
    await trio.sleep(7)
    assert (await house.call("group status", group="audit")).open_broadcasts == []
    result = await house.call("group wait-all", group="audit", broadcast_id=asked)
    assert (result.ended, result.timeouts) == ("deadline", ["api"])
    assert result.by_member["sec"].status == "done"


async def test_the_first_answer_wins_and_losers_that_had_not_begun_need_not(house: House):
    house.echo.driver.gated = True
    members = await house.gather("sec", "api", "style")
    await house.call("send", handle=members["style"], text="first this")  # so it does not begin with the question
    await settled()
    asked = await house.ask()
    await settled()
    house.session(members["sec"]).gate.set()
    result = await house.call("group wait-any", group="audit")
    assert (result.ended, result.winner) == ("any", "sec")
    assert {label: reply.status for label, reply in result.by_member.items()} == {
        "sec": "done", "api": "canceled", "style": "canceled",
    }  # fmt: skip
    house.session(members["api"]).gate.set()
    house.session(members["style"]).gate.set()
    await settled()
    [_, cancel] = house.session(members["api"]).heard
    assert cancel.startswith(f"> from group:audit/cancel:{asked} · ")
    assert cancel.endswith("\nsuperseded by sec")
    assert len(house.session(members["style"]).heard) == 1, "the question was taken back before it began"


async def test_with_interrupt_losers_are_really_stopped(house: House):
    house.echo.driver.gated = True
    members = await house.gather("sec", "api")
    await house.ask()
    await settled()
    house.session(members["sec"]).gate.set()
    await house.call("group wait-any", group="audit", interrupt=True)
    await settled()
    assert house.agent(members["api"]).turns >= 1, "its turn is over"


async def test_a_quorum_is_enough_and_a_veto_ends_it(house: House):
    house.echo.driver.gated = True
    members = await house.gather("sec", "api", "style")
    await house.ask()
    await settled()
    for label in ("sec", "api"):
        house.session(members[label]).gate.set()
    result = await house.call("group wait-quorum", group="audit", count=2)
    assert result.ended == "quorum"
    assert {reply.status for reply in result.by_member.values()} == {"done", "canceled"}
    house.session(members["style"]).gate.set()
    await settled()
    house.session(members["sec"]).gate = trio.Event()
    await house.ask(objective="ship it? BLOCKER")
    result = await house.call("group wait-quorum", group="audit", count=3, veto="BLOCKER")
    assert (result.ended, result.winner in ("api", "style")) == ("veto", True)


async def test_whoever_asked_can_be_woken_instead_of_waiting(house: House):
    lead = await house.kernel.roster.spawn("sec", "lead")
    await house.call("group spawn", lead, profile="api", group="mine")
    asked = await house.ask("mine", lead, callback=True)
    while not house.session("lead").heard:
        await settled()
    [told] = house.session("lead").heard
    assert told.startswith(f"> from group:mine/broadcast:{asked} · task#{asked} · ok · ")
    assert "api (done): " in told
    assert lead.expecting == {}


async def test_presets_labels_and_the_reducer_of_a_preset(house: House):
    done = await house.call("group spawn-mixed", group="audit", preset="review")
    assert done.handles.keys() == {"sec", "sec#2", "api"}
    await house.ask()
    result = await house.call("group wait-all", group="audit")
    assert result.reduced.keys() == {"sec", "sec#2", "api"}
    with pytest.raises(NotFound, match=r"there is no preset 'rewiev' \(presets: review\)"):
        await house.call("group spawn-mixed", group="other", preset="rewiev")


async def test_a_judge_decides_and_says_what_it_cost(house: House):
    await house.gather("sec", "api")
    await house.ask()
    result = await house.call("group wait-all", group="audit", reducer="judge:style")
    assert result.metadata["judge"] == "style"
    assert "--- sec" in result.reduced and "--- api" in result.reduced
    assert {agent.profile_name for agent in house.kernel.roster} == {"sec", "api"}, "the judge is gone"


async def test_groups_live_through_a_restart_and_an_open_broadcast_goes_on(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        members = await house.gather("sec", "api")
        await house.call("rename", old_handle=members["sec"], new_handle="somebody-else")
        echo.driver.gated = True
        for session in echo.driver.sessions.values():
            session.gate = trio.Event()
        await house.call("send", handle="somebody-else", text="busy with this")
        await settled()
        asked = await house.ask()
        await settled()
    echo.driver.gated = False
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        face = await house.call("group status", group="audit")
        assert face.members == {"sec": "somebody-else", "api": members["api"]}
        result = await house.call("group wait-all", group="audit", broadcast_id=asked)
        assert {reply.status for reply in result.by_member.values()} == {"done"}, "none had shown that it read it"


async def test_members_come_move_and_go(house: House):
    members = await house.gather("sec", "api")
    moved = await house.call("group move-member", handle=members["api"], from_group="audit", to_group="other")
    assert (moved.group, moved.label) == ("other", "api")
    await house.call("group rename", old="other", new="third")
    fresh = await house.call("group restart", group="third", handle="api")
    assert fresh.handle != members["api"]
    with pytest.raises(NotFound):
        house.agent(members["api"])
    await house.call("group remove", group="audit", handle=members["sec"])
    assert [face.name for face in await house.call("group list")] == ["third"], "without members it is no more"
    await house.call("group dissolve", group="third")
    with pytest.raises(NotFound):
        house.agent(fresh.handle)
    assert house.agent(members["sec"]).state == "idle"


async def test_bad_input_is_answered_with_what_there_is(house: House):
    await house.gather("sec")
    with pytest.raises(NotFound, match=r"there is no group 'adit' \(groups: audit\)\. Did you mean 'audit'\?"):
        await house.ask("adit")
    with pytest.raises(Refused, match="the objective is empty"):
        await house.ask(objective=" ")
    with pytest.raises(NotFound, match="audit has not been asked anything yet"):
        await house.call("group wait-all", group="audit")
    with pytest.raises(NotFound, match="there is no profile 'nope'"):
        await house.call("group spawn-mixed", group="new", profiles=["sec", "nope"])
    with pytest.raises(Refused, match="say either the profiles of the members or a preset"):
        await house.call("group spawn-mixed", group="new")
    with pytest.raises(Refused, match="is no name for a group"):
        await house.call("group spawn", profile="sec", group="New Group")
    eve = Caller("agent", "eve", "01eve")
    with pytest.raises(Refused, match="audit was made by another, and agent:eve is not in it"):
        await house.ask("audit", eve)
    assert [face.name for face in await house.call("group list", ANNA)] == ["audit"], "nothing half-done remains"
