"""Groups: one question to many, each answer its own, each broadcast with exactly one end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import trio
from group_stage import ANNA, House, MortalPlugin, settled

from aegis import AegisError, Caller, NotFound, Refused, hookimpl
from aegis.events import Usage
from aegis.verbs import progress
from aegis_group.enough import quorum
from aegis_group.values import NEXT, Broadcast, Reply


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
    assert (await house.call("group status", group="audit")).open_broadcasts == {}
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
    loser = house.agent(members["api"])
    await house.call("group wait-any", group="audit", interrupt=True)
    await settled()
    [first] = [r for r in house.kernel.ledger.book("mail").newest("turn", 9) if r.data["agent"] == loser.id][-1:]
    assert first.data["outcome"] == "cancelled", "its gate was shut: only the interrupt ended it"


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


async def test_name_and_group_mean_the_same(house: House):
    await house.call("group spawn-mixed", name="audit", profiles=["sec"])
    asked = await house.call("group broadcast", name="audit", objective="look")
    result = await house.call("group wait-all", name="audit")
    assert (result.broadcast_id, result.ended) == (asked.broadcast_id, "all")


async def test_members_started_at_once_each_have_a_label_of_their_own(house: House):
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: house.call("group spawn", group="audit", profile="sec"))
    [face] = await house.call("group list")
    assert face.members.keys() == {"sec", "sec#2", "sec#3", "sec#4", "sec#5"}


async def test_a_group_whose_first_member_does_not_start_is_not_made(house: House):
    with pytest.raises(NotFound, match="there is no profile 'nope'"):
        await house.call("group spawn", group="audit", profile="nope")
    await house.call("group spawn", group="audit", profile="sec", handle="lead")
    with pytest.raises(Refused, match="is taken"):
        await house.call("group spawn", group="other", profile="sec", handle="lead")
    assert [face.name for face in await house.call("group list")] == ["audit"]


async def test_the_defaults_are_used_and_what_a_preset_says_goes_before_them(kernel_with, plugins, echo, project):
    (project / ".aegis.yaml").write_text(
        "agents: {sec: {provider: echo}}\n"
        "groups:\n  defaults: {broadcast_timeout: 40, default_reducer: last_wins}\n"
        "  presets: {pair: {profiles: [sec], timeout: 90, reducer: join_by_handle}}\n"
    )
    (project / ".aegis" / "groups").mkdir(parents=True)
    (project / ".aegis" / "groups" / "file.yaml").write_text("profiles: [sec, sec]\n")
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.gather("sec", group="plain")
        now = kernel.clock.now()
        asked = await house.call("group broadcast", group="plain", objective="look")
        assert 35 < (datetime.fromisoformat(asked.deadline) - now).total_seconds() < 45
        assert (await house.call("group wait-all", group="plain")).metadata["reducer"] == "last_wins"
        await house.call("group spawn-mixed", group="pair", preset="pair")
        asked = await house.call("group broadcast", group="pair", objective="look")
        assert 85 < (datetime.fromisoformat(asked.deadline) - now).total_seconds() < 95
        assert (await house.call("group wait-all", group="pair")).metadata["reducer"] == "join_by_handle"
        done = await house.call("group spawn-mixed", group="of-file", preset="file")
        assert done.handles.keys() == {"sec", "sec#2"}


async def test_a_wait_is_for_what_its_caller_asked_and_two_of_one_have_the_same(house: House):
    await house.gather("sec", "api")
    ours = await house.ask(objective="mine")
    theirs = await house.ask("audit", Caller("human", "ben"), objective="yours")
    results: list[Any] = []

    async def wait(caller: Caller) -> None:
        results.append(await house.call("group wait-all", caller, group="audit"))

    async with trio.open_nursery() as nursery:
        for caller in (ANNA, ANNA, Caller("human", "ben")):
            nursery.start_soon(wait, caller)
    assert sorted(result.broadcast_id for result in results) == sorted([ours, ours, theirs])
    one, two = (result for result in results if result.broadcast_id == ours)
    assert one == two


async def test_a_stranger_can_neither_see_nor_end_anothers_question(house: House):
    house.echo.driver.gated = True
    await house.gather("sec")
    await house.gather("api", group="other")
    asked = await house.ask()
    eve = await house.kernel.roster.spawn("style", "eve")
    with pytest.raises(Refused, match="audit was made by another, and agent:eve is not in it"):
        await house.call("group wait-any", eve, group="nothing", broadcast_id=asked)
    with pytest.raises(Refused, match=f"{asked} was asked of audit, not of other"):
        await house.call("group wait-any", group="other", broadcast_id=asked)
    assert list((await house.call("group status", group="audit")).open_broadcasts) == [asked]


async def test_a_veto_and_a_first_answer_count_also_when_all_had_answered_before(house: House):
    await house.gather("sec", "api")
    asked = await house.ask(objective="BLOCKER")
    await house.call("group wait-all", group="audit", broadcast_id=asked)
    late = await house.call("group wait-quorum", group="audit", count=2, veto="BLOCKER", broadcast_id=asked)
    assert (late.ended, late.winner) == ("veto", late.order[0])
    late = await house.call("group wait-any", group="audit", broadcast_id=asked)
    assert (late.ended, late.winner) == ("any", late.order[0])
    with pytest.raises(Refused, match="3 answers cannot come from 2 members"):
        await house.call("group wait-quorum", group="audit", count=3)
    with pytest.raises(Refused, match="veto is no regular expression"):
        await house.call("group wait-quorum", group="audit", count=1, veto="(")


def test_so_many_that_say_the_same_need_not_be_those_that_came_last():
    replies = {
        name: Reply(name, name, name, name, status="done", text=text, order=order)
        for order, (name, text) in enumerate([("a", "yes "), ("b", "yes"), ("c", "no")], 1)
    }
    broadcast = Broadcast("b", "g", "g", "human:anna", {}, "", "", replies)
    assert quorum(2, same=True)(broadcast) == ("quorum", "")
    assert quorum(3, same=True)(broadcast) == ("", "")
    assert quorum(3)(broadcast) == ("quorum", "")


def test_an_answer_that_came_while_the_end_was_stored_stays_one():
    waits = Broadcast("b", "g", "g", "human:anna", {}, "", "", {"a": Reply("a", "a", "a", "e")})
    done = waits.changed({"replies": {"a": Reply("a", "a", "a", "e", status="done", text="yes", order=NEXT)}})
    over = done.changed({"over": "any", "replies": {"a": Reply("a", "a", "a", "e", status="canceled")}})
    assert (over.over, over.replies["a"].status, over.replies["a"].text) == ("any", "done", "yes")


async def test_a_crash_a_silence_and_what_it_took_are_said_of_each_member(kernel_with, plugins):
    mortal = MortalPlugin()
    mortal.driver.cost, mortal.driver.usage = 0.25, Usage(input=10, output=3, cache_read=5)
    async with kernel_with(**{**plugins, "echo": mortal}) as kernel:
        house = House(kernel, mortal)
        members = await house.gather("sec", "api")
        mortal.driver.gated = True
        for handle in members.values():
            house.session(handle).gate = trio.Event()
        asked = await house.ask()
        await settled()
        house.session(members["api"]).dies.set()
        house.session(members["sec"]).gate.set()
        result = await house.call("group wait-all", group="audit", broadcast_id=asked)
        sec, api = result.by_member["sec"], result.by_member["api"]
        assert (sec.status, sec.tokens_in, sec.tokens_out, sec.cost_usd) == ("done", 15, 3, 0.25)
        assert (api.status, api.reason) == ("errored", "the CLI exited with code 3")
        assert result.errors == {"api": "the CLI exited with code 3"}
        assert result.metadata["cost_usd"] == 0.25


async def test_a_member_that_says_nothing_is_silent(house: House):
    house.echo.driver.mute = True
    await house.gather("sec")
    await house.ask()
    result = await house.call("group wait-all", group="audit")
    assert (result.by_member["sec"].status, result.reduced) == ("silent", "")


async def test_the_answer_is_what_a_member_says_once_nothing_comes_to_it_any_more(house: House):
    members = await house.gather("sec")
    agent, post = house.agent(members["sec"]), house.kernel.post
    agent.expect("task 7", "the end of a task")
    asked = await house.ask()
    await house.call("send", handle=members["sec"], text="a stray")
    await settled()
    session = house.session(members["sec"])
    session.gate = trio.Event()
    await post.deliver(post.envelope("queue:work", agent.id, "the task's result", task_id="7"))
    agent.expect("task 7", "")
    await settled()
    await house.call("send", handle=members["sec"], text="another stray")
    session.gate.set()
    answer = (await house.call("group wait-all", group="audit", broadcast_id=asked)).by_member["sec"]
    assert "the task's result" in answer.text
    assert "another stray" not in answer.text


async def test_what_asking_may_cost_is_shown_before_it_is_asked(kernel_with, plugins):
    mortal = MortalPlugin()
    async with kernel_with(**{**plugins, "echo": mortal}) as kernel:
        house, said = House(kernel, mortal), list[str]()
        mortal.driver.cost = 0.5
        first = await house.call("group spawn", group="before", profile="sec")
        assert (await house.call("group status", group="before")).expected_cost_usd is None
        await house.call("send", handle=first.handle, text="work", wait=True)
        await house.call("group dissolve", group="before")
        await house.gather("sec", "sec")
        assert (await house.call("group status", group="audit")).expected_cost_usd == 1.0, "by what its profile took"
        with progress(said.append):
            asked = await house.call("group broadcast", group="audit", objective="look")
        assert said[0] == "asking 2 members, about $1.00"
        assert asked.expected_cost_usd == 1.0
        assert "may cost about $1.00" in str(asked)


async def test_the_same_key_asks_once(house: House):
    await house.gather("sec")
    first = await house.call("group broadcast", group="audit", objective="look", key="run.1.4")
    again = await house.call("group broadcast", group="audit", objective="look", key="run.1.4")
    assert first.broadcast_id == again.broadcast_id == "run.1.4"
    await settled()
    assert len(house.session((await house.call("group status", group="audit")).members["sec"]).heard) == 1


class Careless:
    name = "careless"

    def fold(self, answers):
        return answers[99]

    @hookimpl
    def aegis_reducers(self):
        return [self]


class Longest:
    name = "longest"

    def fold(self, answers):
        return max((answer.text for answer in answers), key=len, default="")

    @hookimpl
    def aegis_reducers(self):
        return [self]


async def test_strangers_reducers_fold_and_one_that_fails_costs_no_answer(kernel_with, plugins, echo):
    async with kernel_with(**plugins, careless=Careless(), longest=Longest()) as kernel:
        house = House(kernel, echo)
        await house.gather("sec")
        await house.ask(objective="look around")
        with pytest.raises(AegisError, match="the reducer 'careless' failed: IndexError"):
            await house.call("group wait-all", group="audit", reducer="careless")
        result = await house.call("group wait-all", group="audit", reducer="longest")
        assert "objective: look around" in result.reduced


async def test_a_judge_that_is_cut_short_is_gone(house: House):
    await house.gather("sec")
    await house.ask()
    await house.call("group wait-all", group="audit")
    house.echo.driver.gated = True
    with trio.move_on_after(0.5):
        await house.call("group wait-all", group="audit", reducer="judge:style")
    assert {agent.profile_name for agent in house.kernel.roster} == {"sec"}


async def test_who_was_to_be_closed_when_aegis_died_is_closed_then(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.gather("sec")
        [group] = kernel.ledger.book("group").newest("created", 1)
        await kernel.roster.spawn("style", "judge-12345678")
        ids = [agent.id for agent in kernel.roster if agent.profile_name == "sec"]
        book = kernel.ledger.book("group")
        await book.append("dissolved", group.key, closing=ids)
        await book.append("judging", "any", closing=["judge-12345678"])
    async with kernel_with(**plugins) as kernel:
        with trio.fail_after(5):
            while list(kernel.roster):
                await settled()


async def test_whoever_waits_for_a_broadcast_is_known_to_wait_after_a_restart(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        lead = await kernel.roster.spawn("sec", "lead")
        await house.call("group spawn", lead, profile="api", group="mine")
        echo.driver.gated = True
        for session in echo.driver.sessions.values():
            session.gate = trio.Event()
        asked = await house.ask("mine", lead, callback=True)
    async with kernel_with(**plugins) as kernel:
        await settled()
        assert kernel.roster.find("lead").expecting == {f"broadcast {asked}": "the answers of mine"}
