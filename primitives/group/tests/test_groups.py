"""Groups: one question to many, each answer its own, each broadcast with exactly one end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import trio
from group_stage import ANNA, MortalPlugin, Stage, settled, until

from aegis import AegisError, Caller, NotFound, Refused, hookimpl
from aegis.events import Usage
from aegis.verbs import progress
from aegis_group.quorum import quorum
from aegis_group.values import NEXT, Broadcast, Reply


async def test_everybody_is_asked_and_the_answers_are_one_value(stage: Stage):
    members = await stage.gather()
    asked = await stage.call("group broadcast", group="audit", objective="look at x", output_format="a list")
    assert asked.members == ("api", "sec", "style")
    result = await stage.call("group wait-all", group="audit")
    assert result.ended == "all"
    assert {label: reply.handle for label, reply in result.by_member.items()} == members
    assert {reply.status for reply in result.by_member.values()} == {"done"}
    assert sorted(result.order) == ["api", "sec", "style"]
    for reply in result.by_member.values():
        first, _, *said = reply.text.replace("\n  ", "\n").splitlines()
        assert first.startswith(f"> from group:audit/broadcast:{asked.broadcast_id} · ")
        assert said == ["objective: look at x", "output_format: a list", "tool_guidance: ", "boundaries: "]
    assert result.reduced == result.combined
    assert result.reduced.count("---\n") == 3


async def test_a_question_and_its_answers_ask_the_ledger_for_nothing(stage: Stage):
    await stage.gather()
    before = stage.kernel.ledger.counts.copy()
    await stage.ask()
    result = await stage.call("group wait-all", group="audit")
    assert len(result.order) == 3
    done = stage.kernel.ledger.counts - before
    assert (done.queries, done.appends) == (0, 1 + 3 + 3 + 1), "the question, turns, answers, the end"


async def test_a_result_can_be_had_again_and_with_another_reducer(stage: Stage):
    await stage.gather()
    asked = await stage.ask()
    first = await stage.call("group wait-all", group="audit")
    again = await stage.call("group wait-all", group="audit", broadcast_id=asked, reducer="last_wins")
    assert first.by_member == again.by_member
    assert again.reduced == first.by_member[first.order[-1]].text
    with pytest.raises(NotFound, match=r"there is no reducer 'lats_wins' .*Did you mean 'last_wins'\?"):
        await stage.call("group wait-all", group="audit", reducer="lats_wins")


async def test_a_stray_turn_is_never_an_answer(stage: Stage):
    stage.echo.driver.gated = True
    members = await stage.gather("sec")
    session = stage.session(members["sec"])
    await stage.call("send", handle=members["sec"], text="something else")
    await settled()
    await stage.ask()
    session.gate.set()
    result = await stage.call("group wait-all", group="audit")
    assert result.by_member["sec"].text.startswith("> from group:audit/broadcast:")
    assert "something else" not in result.by_member["sec"].text


async def test_two_broadcasts_at_once_keep_their_answers_apart(stage: Stage):
    await stage.gather()
    one, two = await stage.ask(objective="first"), await stage.ask(objective="second")
    results = {}

    async def wait(asked: str) -> None:
        results[asked] = await stage.call("group wait-all", group="audit", broadcast_id=asked)

    async with trio.open_nursery() as nursery:
        for asked in (two, one):
            nursery.start_soon(wait, asked)
    for asked, word, other in ((one, "first", "second"), (two, "second", "first")):
        texts = [reply.text for reply in results[asked].by_member.values()]
        assert all(word in text and other not in text for text in texts)


async def test_silence_failure_and_closing_are_said_of_each_member(stage: Stage):
    stage.echo.driver.gated = True
    members = await stage.gather("sec", "api", "style")
    await stage.ask()
    await settled()
    await stage.agent(members["api"]).interrupt()
    await stage.kernel.roster.close(stage.agent(members["style"]), "closed by human:anna")
    stage.session(members["sec"]).gate.set()
    result = await stage.call("group wait-all", group="audit")
    status = {label: reply.status for label, reply in result.by_member.items()}
    assert status == {"sec": "done", "api": "canceled", "style": "lost"}
    assert "closed by human:anna" in result.errors["style"]
    assert (await stage.call("group status", group="audit")).members.keys() == {"sec", "api"}


async def test_a_broadcast_nobody_waits_for_ends_at_its_own_deadline(stage: Stage, autojump):
    stage.echo.driver.gated = True
    members = await stage.gather("sec", "api")
    asked = await stage.ask(timeout=5)
    await settled()
    stage.session(members["sec"]).gate.set()
    await trio.sleep(7)
    assert (await stage.call("group status", group="audit")).open_broadcasts == {}
    result = await stage.call("group wait-all", group="audit", broadcast_id=asked)
    assert (result.ended, result.timeouts) == ("deadline", ["api"])
    assert result.by_member["sec"].status == "done"


async def test_the_first_answer_wins_and_losers_that_had_not_begun_need_not(stage: Stage):
    stage.echo.driver.gated = True
    members = await stage.gather("sec", "api", "style")
    await stage.call("send", handle=members["style"], text="first this")  # so it does not begin with the question
    await settled()
    asked = await stage.ask()
    await settled()
    stage.session(members["sec"]).gate.set()
    result = await stage.call("group wait-any", group="audit")
    assert (result.ended, result.winner) == ("any", "sec")
    assert {label: reply.status for label, reply in result.by_member.items()} == {
        "sec": "done", "api": "canceled", "style": "canceled",
    }  # fmt: skip
    stage.session(members["api"]).gate.set()
    stage.session(members["style"]).gate.set()
    await settled()
    [_, cancel] = stage.session(members["api"]).heard
    assert cancel.startswith(f"> from group:audit/cancel:{asked} · ")
    assert cancel.endswith("\n  superseded by sec")
    assert len(stage.session(members["style"]).heard) == 1, "the question was taken back before it began"


async def test_with_interrupt_losers_are_really_stopped(stage: Stage):
    stage.echo.driver.gated = True
    members = await stage.gather("sec", "api")
    await stage.ask()
    await settled()
    stage.session(members["sec"]).gate.set()
    loser = stage.agent(members["api"])
    await stage.call("group wait-any", group="audit", interrupt=True)
    with trio.fail_after(10):
        while not (turns := await stage.kernel.post.turns(loser.id)):
            await settled()
    assert turns[-1].ended.outcome == "cancelled", "its gate was closed: only the interrupt ended it"


async def test_a_quorum_is_enough_and_a_veto_ends_it(stage: Stage):
    stage.echo.driver.gated = True
    members = await stage.gather("sec", "api", "style")
    await stage.ask()
    await settled()
    for label in ("sec", "api"):
        stage.session(members[label]).gate.set()
    result = await stage.call("group wait-quorum", group="audit", count=2)
    assert result.ended == "quorum"
    assert {reply.status for reply in result.by_member.values()} == {"done", "canceled"}
    stage.session(members["style"]).gate.set()
    await settled()
    stage.session(members["sec"]).gate = trio.Event()
    await stage.ask(objective="ship it? BLOCKER")
    result = await stage.call("group wait-quorum", group="audit", count=3, veto="BLOCKER")
    assert (result.ended, result.winner in ("api", "style")) == ("veto", True)


async def test_whoever_asked_can_be_woken_instead_of_waiting(stage: Stage):
    lead = await stage.kernel.roster.spawn("sec", "lead")
    await stage.call("group spawn", lead, profile="api", group="mine")
    asked = await stage.ask("mine", lead, callback=True)
    await until(lambda: stage.session("lead").heard)
    [told] = stage.session("lead").heard
    assert told.startswith(f"> from group:mine/broadcast:{asked} · task#{asked} · ok · ")
    assert "api (done): " in told
    assert lead.expecting == {}


async def test_presets_labels_and_the_reducer_of_a_preset(stage: Stage):
    done = await stage.call("group spawn-mixed", group="audit", preset="review")
    assert done.handles.keys() == {"sec", "sec#2", "api"}
    await stage.ask()
    result = await stage.call("group wait-all", group="audit")
    assert result.reduced.keys() == {"sec", "sec#2", "api"}
    with pytest.raises(NotFound, match=r"there is no preset 'rewiev' \(presets: review\)"):
        await stage.call("group spawn-mixed", group="other", preset="rewiev")


async def test_a_judge_decides_and_says_what_it_cost(stage: Stage):
    await stage.gather("sec", "api")
    await stage.ask()
    result = await stage.call("group wait-all", group="audit", reducer="judge:style")
    assert result.metadata["judge"] == "style"
    assert "--- sec" in result.reduced and "--- api" in result.reduced
    assert {agent.profile_name for agent in stage.kernel.roster} == {"sec", "api"}, "the judge is gone"


async def test_groups_live_through_a_restart_and_an_open_broadcast_goes_on(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        members = await stage.gather("sec", "api")
        await stage.call("rename", old_handle=members["sec"], new_handle="somebody-else")
        echo.driver.gated = True
        for session in echo.driver.sessions.values():
            session.gate = trio.Event()
        await stage.call("send", handle="somebody-else", text="busy with this")
        await settled()
        asked = await stage.ask()
        await settled()
    echo.driver.gated = False
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        view = await stage.call("group status", group="audit")
        assert view.members == {"sec": "somebody-else", "api": members["api"]}
        result = await stage.call("group wait-all", group="audit", broadcast_id=asked)
        assert {reply.status for reply in result.by_member.values()} == {"done"}, "none had shown that it read it"


async def test_members_come_move_and_go(stage: Stage):
    members = await stage.gather("sec", "api")
    moved = await stage.call("group move-member", handle=members["api"], from_group="audit", to_group="other")
    assert (moved.group, moved.label) == ("other", "api")
    renamed = await stage.call("group rename", old="other", new="third")
    assert (renamed.old, renamed.new, str(renamed)) == ("other", "third", "other is now third")
    removed = await stage.call("group remove", group="audit", handle=members["sec"])
    assert (removed.handle, removed.group) == (members["sec"], "audit")
    assert [view.name for view in await stage.call("group list")] == ["third"], "without members it is no more"
    gone = await stage.call("group dissolve", group="third")
    assert (gone.dissolved, gone.closed) == ("third", (members["api"],))
    assert str(gone) == "third is dissolved; 1 members are closed"
    with pytest.raises(NotFound):
        stage.agent(members["api"])
    assert stage.agent(members["sec"]).state == "idle"


async def test_a_member_that_is_restarted_is_the_same_agent_with_its_mail(stage: Stage):
    stage.echo.driver.gated = True
    lead = await stage.kernel.roster.spawn("sec", "lead")
    await stage.call("group spawn", lead, group="mine", profile="sec", handle="first")
    await stage.call("group spawn", lead, group="mine", profile="sec", handle="second")
    before, session = stage.agent("first"), stage.session("first")
    await stage.ask("mine", lead, objective="look here")
    await settled()
    await stage.call("send", handle="first", text="and read this")
    done = await stage.call("group restart", lead, group="mine", handle="first")
    assert (done.handle, done.label) == ("first", "sec")
    assert stage.agent("first") is before
    assert stage.session("first") is not session
    stage.session("first").gate.set()
    stage.session("second").gate.set()
    result = await stage.call("group wait-all", lead, group="mine")
    assert {label: reply.status for label, reply in result.by_member.items()} == {"sec": "done", "sec#2": "done"}
    await until(lambda: "and read this" in "".join(stage.session("first").heard))
    with pytest.raises(Refused, match="Ask a person"):
        await stage.call("group restart", stage.agent("second"), group="mine", handle="first")


async def test_bad_input_is_answered_with_what_there_is(stage: Stage):
    await stage.gather("sec")
    with pytest.raises(NotFound, match=r"there is no group 'adit' \(groups: audit\)\. Did you mean 'audit'\?"):
        await stage.ask("adit")
    with pytest.raises(Refused, match="the objective is empty"):
        await stage.ask(objective=" ")
    with pytest.raises(NotFound, match="audit has not been asked anything yet"):
        await stage.call("group wait-all", group="audit")
    with pytest.raises(NotFound, match="there is no profile 'nope'"):
        await stage.call("group spawn-mixed", group="new", profiles=["sec", "nope"])
    with pytest.raises(Refused, match="give either the profiles of the members or a preset"):
        await stage.call("group spawn-mixed", group="new")
    with pytest.raises(Refused, match="cannot be a group's name"):
        await stage.call("group spawn", profile="sec", group="New Group")
    eve = Caller("agent", "eve", "01eve")
    with pytest.raises(Refused, match="agent:eve did not make the group audit and is not in it"):
        await stage.ask("audit", eve)
    with pytest.raises(Refused, match="workflow:eve did not make the group audit"):
        await stage.ask("audit", eve.through("workflow"))
    assert [view.name for view in await stage.call("group list", ANNA)] == ["audit"], "nothing half-done remains"


async def test_an_agent_and_its_workflows_add_what_they_started(stage: Stage):
    lead = stage.kernel.roster.caller(await stage.kernel.roster.spawn("sec", "lead"))
    flow = lead.through("workflow", "review")
    await stage.call("group spawn", lead, group="mine", profile="sec", handle="first")
    await stage.call("group spawn", flow, group="other", profile="sec", handle="second")
    await stage.kernel.roster.spawn("sec", "stranger")
    for caller, handle, group in ((lead, "first", "one"), (flow, "second", "two"), (lead, "lead", "three")):
        await stage.call("group add", caller, group=group, handle=handle)
    for caller in (lead, flow):
        with pytest.raises(Refused, match=r"stranger is neither. Ask a person"):
            await stage.call("group add", caller, group="one", handle="stranger")


async def test_a_member_closes_and_ends_nothing_of_others_through_its_group(stage: Stage, echo):
    """Who is in a group did not spawn the others, nor ask what they are asked."""
    echo.driver.gated = True
    lead = stage.kernel.roster.caller(await stage.kernel.roster.spawn("sec", "lead"))
    await stage.call("group spawn", lead, group="mine", profile="sec", handle="first")
    await stage.call("group spawn", lead, group="mine", profile="sec", handle="second")
    first, second = (stage.kernel.roster.find(handle) for handle in ("first", "second"))
    asked = await stage.call("group broadcast", lead, group="mine", objective="look")
    member = stage.kernel.roster.caller(first)
    for caller in (member, member.through("workflow"), member.through("queue").through("group")):
        with pytest.raises(Refused, match="second in mine are neither"):
            await stage.call("group dissolve", caller, group="mine")
        for verb, args in (
            ("wait-any", {}), ("wait-any", {"interrupt": True}), ("wait-any", {"cancel_losers": False}),
            ("wait-quorum", {"count": 1}), ("wait-all", {"timeout": 0.1}),
        ):  # fmt: skip
            with pytest.raises(Refused, match=r"did not ask .* may not end it for everybody: .* or ask lead"):
                await stage.call(f"group {verb}", caller, group="mine", broadcast_id=asked.broadcast_id, **args)
    assert stage.kernel.roster.get(second.id)
    assert list((await stage.call("group status", group="mine")).open_broadcasts) == [asked.broadcast_id]
    await stage.call("group dissolve", member, group="mine", close_members=False)
    await stage.call("group add", lead, group="again", handle="first")
    await stage.call("group add", lead, group="again", handle="second")
    await stage.call("group dissolve", lead.through("workflow"), group="again")
    assert stage.kernel.roster.live() == {"lead"}


async def test_name_and_group_mean_the_same(stage: Stage):
    await stage.call("group spawn-mixed", name="audit", profiles=["sec"])
    asked = await stage.call("group broadcast", name="audit", objective="look")
    result = await stage.call("group wait-all", name="audit")
    assert (result.broadcast_id, result.ended) == (asked.broadcast_id, "all")


async def test_members_started_at_once_each_have_a_label_of_their_own(stage: Stage):
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: stage.call("group spawn", group="audit", profile="sec"))
    [view] = await stage.call("group list")
    assert view.members.keys() == {"sec", "sec#2", "sec#3", "sec#4", "sec#5"}


async def test_a_group_whose_first_member_does_not_start_is_not_made(stage: Stage):
    with pytest.raises(NotFound, match="there is no profile 'nope'"):
        await stage.call("group spawn", group="audit", profile="nope")
    await stage.call("group spawn", group="audit", profile="sec", handle="lead")
    with pytest.raises(Refused, match="is taken"):
        await stage.call("group spawn", group="other", profile="sec", handle="lead")
    assert [view.name for view in await stage.call("group list")] == ["audit"]


async def test_the_defaults_are_used_and_what_a_preset_says_goes_before_them(kernel_with, plugins, echo, project):
    (project / ".aegis.yaml").write_text(
        "agents: {sec: {provider: echo}}\n"
        "groups:\n  defaults: {broadcast_timeout: 40, default_reducer: last_wins}\n"
        "  presets: {pair: {profiles: [sec], timeout: 90, reducer: join_by_handle}}\n"
    )
    (project / ".aegis" / "groups").mkdir(parents=True)
    (project / ".aegis" / "groups" / "file.yaml").write_text("profiles: [sec, sec]\n")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.gather("sec", group="plain")
        now = kernel.clock.now()
        asked = await stage.call("group broadcast", group="plain", objective="look")
        assert 35 < (datetime.fromisoformat(asked.deadline) - now).total_seconds() < 45
        assert (await stage.call("group wait-all", group="plain")).metadata["reducer"] == "last_wins"
        await stage.call("group spawn-mixed", group="pair", preset="pair")
        asked = await stage.call("group broadcast", group="pair", objective="look")
        assert 85 < (datetime.fromisoformat(asked.deadline) - now).total_seconds() < 95
        assert (await stage.call("group wait-all", group="pair")).metadata["reducer"] == "join_by_handle"
        done = await stage.call("group spawn-mixed", group="of-file", preset="file")
        assert done.handles.keys() == {"sec", "sec#2"}


async def test_a_wait_is_for_what_its_caller_asked_and_two_of_one_have_the_same(stage: Stage):
    await stage.gather("sec", "api")
    ours = await stage.ask(objective="mine")
    theirs = await stage.ask("audit", Caller("human", "ben"), objective="yours")
    results: list[Any] = []

    async def wait(caller: Caller) -> None:
        results.append(await stage.call("group wait-all", caller, group="audit"))

    async with trio.open_nursery() as nursery:
        for caller in (ANNA, ANNA, Caller("human", "ben")):
            nursery.start_soon(wait, caller)
    assert sorted(result.broadcast_id for result in results) == sorted([ours, ours, theirs])
    one, two = (result for result in results if result.broadcast_id == ours)
    assert one == two


async def test_a_stranger_can_neither_see_nor_end_anothers_question(stage: Stage):
    stage.echo.driver.gated = True
    await stage.gather("sec")
    await stage.gather("api", group="other")
    asked = await stage.ask()
    eve = await stage.kernel.roster.spawn("style", "eve")
    with pytest.raises(Refused, match="agent:eve did not make the group audit and is not in it"):
        await stage.call("group wait-any", eve, group="nothing", broadcast_id=asked)
    with pytest.raises(Refused, match=f"{asked} asked the group audit, not other"):
        await stage.call("group wait-any", group="other", broadcast_id=asked)
    assert list((await stage.call("group status", group="audit")).open_broadcasts) == [asked]


async def test_a_veto_and_a_first_answer_count_also_when_all_had_answered_before(stage: Stage):
    await stage.gather("sec", "api")
    asked = await stage.ask(objective="BLOCKER")
    await stage.call("group wait-all", group="audit", broadcast_id=asked)
    late = await stage.call("group wait-quorum", group="audit", count=2, veto="BLOCKER", broadcast_id=asked)
    assert (late.ended, late.winner) == ("veto", late.order[0])
    late = await stage.call("group wait-any", group="audit", broadcast_id=asked)
    assert (late.ended, late.winner) == ("any", late.order[0])
    with pytest.raises(Refused, match="3 answers cannot come from 2 members"):
        await stage.call("group wait-quorum", group="audit", count=3)
    with pytest.raises(Refused, match="veto is not a regular expression"):
        await stage.call("group wait-quorum", group="audit", count=1, veto="(")
    with pytest.raises(Refused, match="look-around and back references are not possible"):
        await stage.call("group wait-quorum", group="audit", count=1, veto="(?=a)(a+)+$")


async def test_a_veto_that_re_never_ends_with_is_judged():
    replies = {"a": Reply("a", "a", "a", "a", status="done", text="a" * 100_000 + "!", order=1)}
    broadcast = Broadcast("b", "g", "g", "human:anna", {}, "", "", replies)
    for veto in ("(a+)+$", "(a|a)*b$", "(.*a){12}b"):
        assert await quorum(2, veto)(broadcast) == ("", "")
    assert await quorum(2, "(a+)+!")(broadcast) == ("veto", "a")


async def test_an_answer_that_is_too_long_for_the_veto_ends_the_wait_with_the_reason():
    replies = {"a": Reply("a", "a", "a", "a", status="done", text="ab" * 1_000_000, order=1)}
    broadcast = Broadcast("b", "g", "g", "human:anna", {}, "", "", replies)
    with pytest.raises(Refused, match="the answer of a cannot be searched for the veto: it may take more"):
        await quorum(2, "(([ab]*a){10}){10}c")(broadcast)


async def test_so_many_that_say_the_same_need_not_be_those_that_came_last():
    replies = {
        name: Reply(name, name, name, name, status="done", text=text, order=order)
        for order, (name, text) in enumerate([("a", "yes "), ("b", "yes"), ("c", "no")], 1)
    }
    broadcast = Broadcast("b", "g", "g", "human:anna", {}, "", "", replies)
    assert await quorum(2, same=True)(broadcast) == ("quorum", "")
    assert await quorum(3, same=True)(broadcast) == ("", "")
    assert await quorum(3)(broadcast) == ("quorum", "")


def test_an_answer_that_came_while_the_end_was_stored_stays_one():
    waits = Broadcast("b", "g", "g", "human:anna", {}, "", "", {"a": Reply("a", "a", "a", "e")})
    done = waits.changed({"replies": {"a": Reply("a", "a", "a", "e", status="done", text="yes", order=NEXT)}})
    over = done.changed({"over": "any", "replies": {"a": Reply("a", "a", "a", "e", status="canceled")}})
    assert (over.over, over.replies["a"].status, over.replies["a"].text) == ("any", "done", "yes")


async def test_a_crash_a_silence_and_what_it_took_are_said_of_each_member(kernel_with, plugins):
    mortal = MortalPlugin()
    mortal.driver.cost, mortal.driver.usage = 0.25, Usage(input=10, output=3, cache_read=5)
    async with kernel_with(**{**plugins, "echo": mortal}) as kernel:
        stage = Stage(kernel, mortal)
        members = await stage.gather("sec", "api")
        mortal.driver.gated = True
        for handle in members.values():
            stage.session(handle).gate = trio.Event()
        asked = await stage.ask()
        await settled()
        stage.session(members["api"]).dies.set()
        stage.session(members["sec"]).gate.set()
        result = await stage.call("group wait-all", group="audit", broadcast_id=asked)
        sec, api = result.by_member["sec"], result.by_member["api"]
        assert (sec.status, sec.tokens_in, sec.tokens_out, sec.cost_usd) == ("done", 15, 3, 0.25)
        assert (api.status, api.reason) == ("errored", "the CLI exited with code 3")
        assert result.errors == {"api": "the CLI exited with code 3"}
        assert result.metadata["cost_usd"] is None, "what the dead one cost nobody knows"


async def test_a_member_that_says_nothing_is_silent(stage: Stage):
    stage.echo.driver.mute = True
    await stage.gather("sec")
    await stage.ask()
    result = await stage.call("group wait-all", group="audit")
    assert (result.by_member["sec"].status, result.reduced) == ("silent", "")


async def test_the_answer_is_what_a_member_says_once_nothing_comes_to_it_any_more(stage: Stage):
    members = await stage.gather("sec")
    agent, post = stage.agent(members["sec"]), stage.kernel.post
    agent.expect("task 7", "the end of a task")
    asked = await stage.ask()
    await stage.call("send", handle=members["sec"], text="a stray")
    session = stage.session(members["sec"])
    await until(lambda: len(session.heard) == 2 and agent.state == "idle")  # the turn with the question is over by then
    session.gate = trio.Event()
    await post.deliver(post.envelope("queue:work", agent.id, "the task's result", task_id="7"))
    agent.expect("task 7", "")
    await settled()
    await stage.call("send", handle=members["sec"], text="another stray")
    session.gate.set()
    answer = (await stage.call("group wait-all", group="audit", broadcast_id=asked)).by_member["sec"]
    assert "the task's result" in answer.text
    assert "another stray" not in answer.text


async def test_what_asking_may_cost_is_shown_before_it_is_asked(kernel_with, plugins):
    mortal = MortalPlugin()
    async with kernel_with(**{**plugins, "echo": mortal}) as kernel:
        stage, said = Stage(kernel, mortal), list[str]()
        mortal.driver.cost = 0.5
        first = await stage.call("group spawn", group="before", profile="sec")
        assert (await stage.call("group status", group="before")).expected_cost_usd is None
        await stage.call("send", handle=first.handle, text="work", wait=True)
        await stage.call("group dissolve", group="before")
        await stage.gather("sec", "sec")
        assert (await stage.call("group status", group="audit")).expected_cost_usd == 1.0, "by what its profile took"
        with progress(said.append):
            asked = await stage.call("group broadcast", group="audit", objective="look")
        assert said[0] == "asking 2 members, about $1.00"
        assert asked.expected_cost_usd == 1.0
        assert "may cost about $1.00" in str(asked)


async def test_the_same_key_asks_once(stage: Stage):
    await stage.gather("sec")
    first = await stage.call("group broadcast", group="audit", objective="look", key="run.1.4")
    again = await stage.call("group broadcast", group="audit", objective="look", key="run.1.4")
    assert first.broadcast_id == again.broadcast_id == "run.1.4"
    await settled()
    assert len(stage.session((await stage.call("group status", group="audit")).members["sec"]).heard) == 1


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
        stage = Stage(kernel, echo)
        await stage.gather("sec")
        await stage.ask(objective="look around")
        with pytest.raises(AegisError, match="the reducer 'careless' failed: IndexError"):
            await stage.call("group wait-all", group="audit", reducer="careless")
        result = await stage.call("group wait-all", group="audit", reducer="longest")
        assert "objective: look around" in result.reduced


async def test_a_judge_that_is_cut_short_is_gone(stage: Stage):
    await stage.gather("sec")
    await stage.ask()
    await stage.call("group wait-all", group="audit")
    stage.echo.driver.gated = True
    with trio.move_on_after(0.5):
        await stage.call("group wait-all", group="audit", reducer="judge:style")
    assert {agent.profile_name for agent in stage.kernel.roster} == {"sec"}


async def test_who_was_to_be_closed_when_aegis_died_is_closed_then(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.gather("sec")
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
        stage = Stage(kernel, echo)
        lead = await kernel.roster.spawn("sec", "lead")
        await stage.call("group spawn", lead, profile="api", group="mine")
        echo.driver.gated = True
        for session in echo.driver.sessions.values():
            session.gate = trio.Event()
        asked = await stage.ask("mine", lead, callback=True)
    async with kernel_with(**plugins) as kernel:
        await settled()
        assert kernel.roster.find("lead").expecting == {f"broadcast {asked}": "the answers of mine"}


@pytest.mark.parametrize("seconds", [1e18, float("inf"), float("nan")])
async def test_no_time_is_longer_than_a_date_can_say(stage: Stage, seconds: float):
    await stage.gather()
    for verb in ("group broadcast", "group wait-all", "group wait-any", "group wait-quorum"):
        more = {"objective": "look"} if verb == "group broadcast" else {}
        with pytest.raises(Refused, match="timeout is wrong"):
            await stage.call(verb, group="audit", timeout=seconds, **more)
