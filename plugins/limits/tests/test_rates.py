"""How often and how much an agent may: a minute's worth at once, then as time passes; people are hardly limited."""

from __future__ import annotations

import pytest
import trio

from aegis import Caller, Decision, PermissionRequest, Refused
from aegis.events import PermissionAsked
from aegis.testing.clock import settled
from aegis_limits.buckets import Buckets


async def many(stage, number, verb, caller, **args):
    """Call a verb so many times; return how often it was done, and the last refusal."""
    done, said = 0, ""
    for _ in range(number):
        try:
            await stage.call(verb, caller, **args)
            done += 1
        except Refused as refusal:
            said = str(refusal)
    return done, said


@pytest.fixture
async def pair(stage):
    return await stage.spawn("bob"), await stage.spawn("ann")


async def test_an_agent_sends_a_minutes_worth_and_is_then_told_when_it_may_again(stage, pair, clock):
    bob, ann = pair
    done, said = await many(stage, 80, "handoff", bob, target_handle="ann", context="hello")
    assert 60 <= done < 75, "the test itself takes its time"
    assert said == "bob: too many messages (limits.sends_per_minute is 60); try again in 1 s"
    clock.jump(30)
    assert 30 <= (await many(stage, 80, "handoff", bob, target_handle="ann", context="hello"))[0] < 45
    await stage.call("handoff", ann, target_handle="bob", context="others go on")


async def test_of_thousands_of_mails_a_minute_only_so_many_get_through(stage, pair, clock):
    bob, _ = pair
    done = 0
    for _ in range(12):
        done += (await many(stage, 200, "handoff", bob, target_handle="ann", context="x"))[0]
        clock.jump(5)
    assert done <= 150


async def test_a_person_is_not_held_to_it_and_has_a_limit_of_its_own(stage, pair, limits, clock):
    assert (await many(stage, 100, "send", Caller("human", "anna"), handle="ann", text="x"))[0] == 100
    limits(calls_per_minute_of_people=10)
    await stage.kernel.config.refresh()
    clock.jump(120)
    done, said = await many(stage, 20, "sessions", Caller("human", "bert"))
    assert done == 10 and "limits.calls_per_minute_of_people is 10" in said
    assert (await many(stage, 20, "sessions", Caller("schedule", "nightly")))[0] == 10


@pytest.mark.parametrize(
    ("verb", "args", "setting"),
    [
        ("handoff", {"target_handle": "human", "context": "a question"}, "questions_per_minute"),
        ("handoff", {"target_handle": "human:anna", "context": "a question"}, "questions_per_minute"),
        ("enqueue", {"queue": "one", "payload": "x", "callback": False}, "tasks_per_minute"),
        ("sessions", {}, "calls_per_minute"),
        ("interrupt", {"handle": "bob"}, "changes_per_minute"),
        ("workflow run", {"name": "nothing"}, "runs_per_minute"),
    ],
)
async def test_each_rate_is_a_setting(stage, pair, limits, verb, args, setting):
    limits(**{setting: 3})
    await stage.kernel.config.refresh()
    _, said = await many(stage, 5, verb, pair[0], **args)
    assert f"(limits.{setting} is 3)" in said


async def test_what_an_agent_does_through_a_program_counts_as_its_own(stage, pair, limits):
    limits(tasks_per_minute=3)
    await stage.kernel.config.refresh()
    bob = stage.kernel.roster.caller(pair[0])
    for caller in (bob, bob.through("workflow", "evil"), bob.through("group"), bob):
        done, said = await many(stage, 1, "enqueue", caller, queue="one", payload="x", callback=False)
    assert done == 0 and "tasks_per_minute" in said


async def test_one_call_has_a_size(stage, pair, limits):
    limits(call_bytes=10_000)
    await stage.kernel.config.refresh()
    with pytest.raises(Refused, match=r"20,0\d\d bytes \(limits.call_bytes is 10,000\)"):
        await stage.call("canvas write-section", pair[0], name="c", section="s", content="x" * 20_000)


async def test_one_sender_does_not_fill_a_mailbox_for_the_others(stage, limits, echo):
    limits(mailbox_letters=10)
    await stage.kernel.config.refresh()
    bob, ann, carl = [await stage.spawn(handle) for handle in ("bob", "ann", "carl")]
    echo.driver.sessions[ann.id].gate = trio.Event()  # a turn of hers does not end
    await stage.call("send", handle="ann", text="begin")
    await settled()
    done, said = await many(stage, 10, "handoff", bob, target_handle="ann", context="x")
    assert done == 5
    assert "5 messages of you and yours to ann are not read yet (limits.mailbox_share is 50 % of its mailbox)" in said
    await stage.call("handoff", carl, target_handle="ann", context="there is room for others")


async def test_an_agent_with_its_children_and_other_names_is_one_sender(stage, limits, echo):
    limits(mailbox_letters=10)
    await stage.kernel.config.refresh()
    bob, ann, carl = [await stage.spawn(handle) for handle in ("bob", "ann", "carl")]
    child = await stage.kernel.roster.spawn("echo", "child", by=stage.kernel.roster.caller(bob))
    echo.driver.sessions[ann.id].gate = trio.Event()  # a turn of hers does not end
    await stage.call("send", handle="ann", text="begin")
    await settled()
    assert (await many(stage, 3, "handoff", bob, target_handle="ann", context="x"))[0] == 3
    assert (await many(stage, 10, "handoff", child, target_handle="ann", context="x"))[0] == 2
    await stage.call("rename", bob, old_handle="bob", new_handle="bill")
    assert (await many(stage, 1, "handoff", bob, target_handle="ann", context="x"))[0] == 0
    await stage.call("handoff", carl, target_handle="ann", context="there is room for others")


async def test_agents_write_to_so_many_people(stage, pair, limits):
    limits(max_people=2)
    await stage.kernel.config.refresh()
    for name in ("anna", "bert"):
        await stage.call("handoff", pair[0], target_handle=f"human:{name}", context="x")
    with pytest.raises(Refused, match=r"limits.max_people is 2"):
        await stage.call("handoff", pair[0], target_handle="human:cleo", context="x")
    await stage.call("handoff", pair[0], target_handle="human:anna", context="again")


async def test_a_flood_of_permission_requests_is_answered_without_a_person(stage, pair, limits, kernel):
    limits(max_requests=3, requests_per_minute=5)
    await stage.kernel.config.refresh()
    bob = pair[0]

    class Person:
        name = "person"

        async def permission(self, seat, request):
            return Decision("allowed", "yes")

    kernel.interceptors.add(Person())
    wish = PermissionRequest("1", "Bash", "execute", "ls", {})
    said = [await kernel.interceptors.permission(bob.seat, wish) for _ in range(7)]
    assert [d.outcome for d in said] == ["allowed"] * 5 + ["denied"] * 2
    assert "limits.requests_per_minute is 5" in said[-1].reason
    large = PermissionRequest("2", "Write", "edit", "a file", {"text": "x" * 600_000})
    assert "limits.request_characters" in (await kernel.interceptors.permission(bob.seat, large)).reason
    for n in range(4):
        bob.asking[str(n)] = PermissionAsked(str(n), "Bash", "execute", "ls", {})
    assert "limits.max_requests" in (await kernel.interceptors.permission(bob.seat, wish)).reason


async def test_buckets_of_those_who_are_gone_are_forgotten(autojump):
    buckets = Buckets()
    for n in range(5_000):
        assert buckets.take(str(n), "calls", 10) == 0
        autojump.jump(0.1)
    assert len(buckets) <= 1_001
    before = len(buckets)
    buckets.forget("4999")
    assert len(buckets) == before - 1
