"""Mail to other places, and sleeping agents, as people and agents have them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aegis import Caller, NotFound, Refused
from aegis.testing.carrier import FolderCarrier
from aegis_inbox.addresses import outside

ANNA = Caller("human", "anna")


@pytest.fixture
def carrier(tmp_path: Path) -> FolderCarrier:
    return FolderCarrier(tmp_path / "there", "peer")


@pytest.mark.parametrize("target", ["ann@mars", "peer:ann@mars"])
async def test_an_agent_and_a_person_write_to_another_place(stage, carrier, target):
    await stage.kernel.plugins.enter("peer", carrier)
    calm = await stage.spawn("calm-codd")
    mine = await stage.call("handoff", calm, target_handle=target, context="over to you")
    hers = await stage.call("send", ANNA, handle=target, text="and hello")
    with trio.fail_after(10):
        for receipt in (mine, hers):
            assert receipt.recipient == "peer:ann@mars"
            assert (await stage.kernel.post.wait_turn(receipt.id)).outcome == "completed"
    assert sorted(f.name for f in carrier.folder.iterdir()) == sorted([mine.id, hers.id])
    with pytest.raises(Refused, match="answers by mail; send it without --wait"):
        await stage.call("send", ANNA, handle=target, text="well?", wait=True)


async def test_when_nothing_carries_there_the_sentence_says_what_is_carried(stage, carrier):
    for verb, word in (("handoff", "context"), ("send", "text")):
        with pytest.raises(NotFound, match=r"nothing here carries mail to 'ann@mars' .*are carried: none\)"):
            await stage.call(verb, ANNA, **{"handle" if verb == "send" else "target_handle": "ann@mars", word: "x"})
    await stage.kernel.plugins.enter("peer", carrier)
    with pytest.raises(NotFound, match=r"'slack:ops' \(addresses that are carried: peer:…\)"):
        await stage.call("send", ANNA, handle="slack:ops", text="x")


async def test_the_sender_hears_of_what_could_not_be_delivered_there(stage, carrier):
    await stage.kernel.plugins.enter("peer", carrier)
    calm = await stage.spawn("calm-codd")
    sent = await stage.call("handoff", calm, target_handle="ann@mars", context="refuse")
    await stage.kernel.post.wait_turn(sent.id)
    with trio.fail_after(10):
        while not any("nobody lives there" in heard for heard in stage.session(calm).heard):
            await trio.testing.wait_all_tasks_blocked()


async def test_a_program_that_nobody_reads_for_is_not_written_to(stage):
    calm = await stage.spawn("calm-codd")
    stage.session(calm).gate = trio.Event()
    await stage.call("send", Caller("schedule", "nightly"), handle="calm-codd", text="go")
    await trio.testing.wait_all_tasks_blocked(0.02)
    await stage.kernel.roster.close(calm, "enough")
    assert stage.kernel.post.letters() == []


async def test_an_agent_is_put_to_sleep_and_woken(stage):
    calm = await stage.spawn("calm-codd")
    assert await stage.call("sleep", ANNA, handle="calm-codd") == "calm-codd is asleep"
    [row] = await stage.call("sessions", ANNA)
    assert (row.state, row.reason) == ("asleep", "put to sleep by human:anna")
    assert await stage.call("wake", ANNA, handle="calm-codd") == "calm-codd wakes up"
    with trio.fail_after(10):
        while calm.state != "idle":
            await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(Refused, match="calm-codd is not asleep; it is idle"):
        await stage.call("wake", ANNA, handle="calm-codd")
    await stage.call("sleep", Caller("schedule", "night"), handle="calm-codd", reason="night")
    assert calm.reason == "night"
    assert (await stage.call("send", ANNA, handle="calm-codd", text="hi", wait=True)).endswith("\n  hi")


async def test_no_agent_puts_another_to_sleep(stage):
    calm = await stage.spawn("calm-codd")
    await stage.spawn("wry-hopper")
    with pytest.raises(Refused, match="may not use 'sleep'"):
        await stage.call("sleep", calm, handle="wry-hopper")


def test_what_an_address_is() -> None:
    assert outside("lucid-knuth", ()) == outside("agent:lucid-knuth", ()) == ""
    assert outside("ann@mars", ["peer"]) == outside("peer:ann@mars", ["peer"]) == "peer:ann@mars"
    assert outside("human:sam", ()) == "human:sam"
    with pytest.raises(NotFound, match=r"nothing here carries mail to 'ann@mars' \(addresses that are carried: none\)"):
        outside("ann@mars", ())
    with pytest.raises(NotFound, match=r"'x:y' \(addresses that are carried: peer:…, post:…\)"):
        outside("x:y", ["post", "peer"])
