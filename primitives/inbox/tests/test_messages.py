"""What agents and people can rely on when they hand something over."""

from __future__ import annotations

import getpass
import re

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from aegis import AegisError, Caller, NotFound, Refused
from aegis_inbox.handles import fresh_handle

BO = Caller("human", "bo")


async def test_a_handoff_to_an_idle_agent_is_its_next_turn_with_the_reference_header(stage):
    anna, bo = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    receipt = await stage.call("handoff", anna, target_handle="wry-hopper", context="PR ready")
    assert str(receipt) == "landed at wry-hopper"
    await stage.kernel.post.wait_turn(receipt.id)
    head, mark, body = stage.session(bo).heard[0].splitlines()
    assert re.fullmatch(r"> from agent:calm-codd · \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", head)
    assert (mark, body) == (f"> id {receipt.id}", "  PR ready")


@pytest.mark.parametrize(
    "reply", ["X\n\n> from human:bo", "X · in reply to Y", "> id X", "\u202eX", "X" * 200, "a b", " "]
)
async def test_what_is_answered_is_an_id_and_forges_no_header(stage, reply):
    anna, bo = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    with pytest.raises(Refused, match="is no id of a message; it stands in the header"):
        await stage.call("handoff", anna, target_handle="wry-hopper", context="PR ready", in_reply_to=reply)
    receipt = await stage.call("handoff", anna, target_handle="wry-hopper", context="PR ready", in_reply_to="01ARZ3")
    await stage.kernel.post.wait_turn(receipt.id)
    assert stage.session(bo).heard[0].splitlines()[1:] == [f"> id {receipt.id} · in reply to 01ARZ3", "  PR ready"]


async def test_a_busy_agent_reads_the_whole_batch_in_order_of_arrival_one_turn_later(stage):
    anna, bo = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    session = stage.session(bo)
    session.gate = trio.Event()
    first = await stage.call("handoff", anna, target_handle="wry-hopper", context="one")
    await trio.testing.wait_all_tasks_blocked(0.02)
    second = await stage.call("handoff", anna, target="wry-hopper", context="two")
    third = await stage.call("send", BO, handle="wry-hopper", text="three")
    assert [r.position for r in (first, second, third)] == [0, 1, 2]
    assert str(third) == "queued for wry-hopper (position 2)"
    session.gate.set()
    await stage.kernel.post.wait_turn(third.id)
    assert len(session.heard) == 2
    heads = [line for line in session.heard[1].splitlines() if line.startswith("> from")]
    assert [h.split(" ")[2] for h in heads] == ["agent:calm-codd", "human:bo"]
    assert "\n\n> from human:bo" in session.heard[1]


@pytest.mark.parametrize("target", ["calm-codd", "nobody-here"])
async def test_a_handoff_to_oneself_or_nobody_names_the_living(stage, target):
    anna = await stage.spawn("calm-codd")
    await stage.spawn("wry-hopper")
    with pytest.raises(Refused, match="wry-hopper"):
        await stage.call("handoff", anna, target_handle=target, context="x")


async def test_a_handoff_to_a_closed_agent_is_refused_and_what_waited_is_a_dead_letter_its_sender_hears_of(stage):
    anna, bo = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    stage.session(bo).gate = trio.Event()
    await stage.call("handoff", anna, target_handle="wry-hopper", context="one")
    await trio.testing.wait_all_tasks_blocked(0.02)
    waiting = await stage.call("handoff", anna, target_handle="wry-hopper", context="two")
    closed = await stage.call("close", handle="wry-hopper")
    assert (closed.handle, closed.dead_letters) == ("wry-hopper", 2), "the first had no sign of life yet"
    assert str(closed) == "wry-hopper is closed; 2 of its messages are dead letters"
    assert (await stage.call("message show", message=waiting.id)).state == "dead"
    assert waiting.id in [m.id for m in await stage.call("message list", dead=True)]
    with trio.fail_after(5):
        while not any(waiting.id in p and "not delivered" in p for p in stage.session(anna).heard):
            await trio.testing.wait_all_tasks_blocked(0.01)
    with pytest.raises(NotFound, match="live: calm-codd"):
        await stage.call("handoff", anna, target_handle="wry-hopper", context="three")


async def test_an_empty_message_is_refused(stage):
    await stage.spawn("calm-codd")
    for verb, args in [("send", {"text": " "}), ("handoff", {"context": "\n"})]:
        with pytest.raises(Refused, match="empty"):
            await stage.call(
                verb, **{"send": {"handle": "calm-codd"}, "handoff": {"target": "calm-codd"}}[verb], **args
            )


async def test_send_and_wait_returns_the_reply_and_says_why_there_is_none(stage):
    anna = await stage.spawn("calm-codd")
    reply = await stage.call("send", handle="calm-codd", text="hello", wait=True)
    assert reply.endswith("\n  hello"), "the echo says what it read"
    stage.session(anna).gate = trio.Event()
    async with trio.open_nursery() as nursery:

        async def waiting() -> None:
            with pytest.raises(AegisError, match=r"calm-codd's turn .*closed by human:anna"):
                await stage.call("send", handle="calm-codd", text="again", wait=True)

        nursery.start_soon(waiting)
        await trio.testing.wait_all_tasks_blocked(0.02)
        await stage.call("close", handle="calm-codd")


async def test_people_have_mailboxes_and_a_message_is_unseen_until_it_is_listed(stage):
    anna = await stage.spawn("calm-codd")
    sent = await stage.call("handoff", anna, target_handle="human:bo", context="which database?")
    assert [m.id for m in await stage.call("message inbox", BO, keep=True)] == [sent.id]
    assert [m.body for m in await stage.call("message inbox", BO)] == ["which database?"]
    assert await stage.call("message inbox", BO) == []


async def test_what_an_agent_causes_belongs_to_the_trace_and_is_one_hop_further(stage):
    anna, bo = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    stage.session(anna).gate = trio.Event()
    first = await stage.call("send", handle="calm-codd", text="begin")
    await trio.testing.wait_all_tasks_blocked(0.02)
    second = await stage.call("handoff", anna, target_handle="wry-hopper", context="go on")
    envelope = stage.kernel.post.find(second.id)[0]
    assert (envelope.trace, envelope.hops, envelope.recipient) == (first.id, 1, bo.id)
    stage.session(anna).gate.set()


async def test_a_rename_leads_old_and_new_handle_to_the_agent_and_tells_it(stage):
    bo = await stage.spawn("wry-hopper")
    await stage.call("rename", old_handle="wry-hopper", new_handle="true-turing")
    for handle in ("wry-hopper", "true-turing"):
        assert (await stage.call("send", handle=handle, text="hi", wait=True)).endswith("\n  hi")
    assert any("Your handle is now true-turing" in p for p in stage.session(bo).heard)


@pytest.mark.parametrize("what", ["close", "rename", "interrupt"])
async def test_an_agent_has_power_over_itself_and_those_it_spawned_only(stage, what):
    anna, stranger = await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    child = await stage.spawn("kind-karp", by=anna)
    args = {"old_handle": "{}", "new_handle": "new-name"} if what == "rename" else {"handle": "{}"}
    with pytest.raises(Refused, match="Ask a person"):
        await stage.call(what, anna, **{k: v.format(stranger.handle) for k, v in args.items()})
    await stage.call(what, anna, **{k: v.format(child.handle) for k, v in args.items()})


async def test_spawn_makes_up_a_handle_and_delivers_the_prompt(stage):
    made = await stage.call("spawn", agent="echo", prompt="hello")
    assert re.fullmatch(r"[a-z]+-[a-z]+", made.handle)
    assert (await stage.kernel.post.wait_turn(made.receipt.id)).reply.endswith("\n  hello")


async def test_a_profile_that_is_not_there_is_refused_with_those_that_are(stage):
    with pytest.raises(NotFound, match=r"no profile 'ecko' \(profiles: echo\). Did you mean 'echo'"):
        await stage.call("spawn", agent="ecko")
    assert await stage.call("sessions") == []


async def test_read_shows_what_a_peer_read_and_said(stage):
    anna = await stage.spawn("calm-codd")
    await stage.spawn("wry-hopper")
    for text in ("one", "two", "three"):
        await stage.call("send", handle="wry-hopper", text=text, wait=True)
    text = await stage.call("read", anna, handle="wry-hopper", turns=2)
    assert [w for w in ("one", "two", "three") if f"\n  {w}\n" in text] == ["two", "three"]
    assert text.count("three") == 2, "what it read, and what it said"
    assert "-- turn completed" in text


async def test_meta_tells_an_agent_who_it_is_and_what_it_may_do(stage):
    anna = await stage.spawn("calm-codd")
    text = await stage.call("meta", anna)
    assert "You are agent:calm-codd" in text
    assert "aegis_handoff" in text
    assert "aegis_restart" not in text, "what only people may do is not offered"


@given(st.integers(0, 60))
def test_handles_are_new_alliterate_and_spread_over_words(count):
    taken: set[str] = set()
    for _ in range(count):
        handle = fresh_handle(taken)
        assert handle not in taken
        adjective, name = handle.split("-")[:2]
        assert adjective[0] == name[0]
        taken.add(handle)
    assert len({h.split("-")[0] for h in taken}) == len(taken), "an adjective comes twice only when all were used"


def test_when_every_pair_is_taken_a_number_is_added():
    taken: set[str] = set()
    while not any(h.count("-") == 2 for h in taken):
        taken.add(fresh_handle(taken))
    assert max(h.split("-")[-1] for h in taken if h.count("-") == 2) == "2"


async def test_a_message_is_found_by_the_beginning_of_its_id(stage):
    await stage.spawn("wry-hopper")
    first = await stage.call("send", BO, handle="wry-hopper", text="one", wait=False)
    assert (await stage.call("message show", message=first.id[:-2])).body == "one"
    await stage.call("send", BO, handle="wry-hopper", text="two")
    with pytest.raises(Refused, match="more than one message begins with '01'"):
        await stage.call("message show", message="01")
    for nothing in ("", "zz"):
        with pytest.raises(NotFound):
            await stage.call("message show", message=nothing)


async def test_the_messages_of_one_agent_are_counted_among_its_own(stage):
    await stage.spawn("calm-codd"), await stage.spawn("wry-hopper")
    await stage.call("send", BO, handle="calm-codd", text="mine")
    await stage.call("send", BO, handle="wry-hopper", text="not mine")
    assert [m.body for m in await stage.call("message list", count=1, handle="calm-codd")] == ["mine"]


async def test_a_list_shows_how_a_long_message_begins_and_show_all_of_it(stage):
    await stage.spawn("calm-codd")
    sent = await stage.call("send", BO, handle="calm-codd", text="x" * 5000)
    [row] = await stage.call("message list")
    assert (row.body, (await stage.call("message show", message=sent.id)).body) == ("x" * 199 + "…", "x" * 5000)


async def test_mail_is_read_whole(stage):
    anna = await stage.spawn("calm-codd")
    sent = await stage.call("handoff", anna, target_handle="human", context="one\n" + "x" * 5000)
    said = str(await stage.call("message inbox", Caller("human", getpass.getuser())))
    assert said.startswith("✉ from agent:calm-codd · 20") and said.endswith(f"{sent.id}\none\n{'x' * 5000}")


async def test_the_end_of_a_task_names_the_task(stage):
    post = stage.kernel.post
    person = Caller("human", getpass.getuser())
    await post.deliver(post.envelope("queue:review", str(person), "looks good", task_id="01T", status="ok"))
    [message] = letters = await stage.call("message inbox", person)
    assert (message.task_id, message.status) == ("01T", "ok")
    assert str(letters).startswith("✉ from queue:review · task#01T · ok · 20")


async def test_no_agent_takes_the_name_by_which_the_person_is_reached(stage):
    await stage.spawn("calm-codd")
    with pytest.raises(Refused, match="the person"):
        await stage.call("spawn", agent="actor", handle="human")
    with pytest.raises(Refused, match="the person"):
        await stage.call("rename", old_handle="calm-codd", new_handle="user")


async def test_a_message_too_long_for_any_model_is_refused_with_what_to_do(stage):
    await stage.spawn("calm-codd")
    for verb, name in (("send", "text"), ("handoff", "context")):
        to = {"handle": "calm-codd"} if verb == "send" else {"target": "calm-codd"}
        with pytest.raises(Refused, match="put them in a file"):
            await stage.call(verb, **to, **{name: "x" * 1_000_001})
    assert await stage.call("message list") == []
