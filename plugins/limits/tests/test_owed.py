"""What an agent is owed reaches its mailbox though that is full: in a short form that says where the whole is."""

from __future__ import annotations

import pytest
import trio

from aegis import Caller, Refused
from aegis.testing.clock import settled


@pytest.fixture
async def bob(stage, echo, limits):
    """An agent whose turn does not end, and whose mailbox has room for nothing more."""
    bob = await stage.spawn("bob")
    echo.driver.sessions[bob.id].gate = trio.Event()
    await stage.call("send", handle="bob", text="begin")
    await settled()
    limits(mailbox_letters=1)
    await stage.kernel.config.refresh()
    with pytest.raises(Refused, match="mailbox_letters"):
        await stage.kernel.post.deliver(stage.kernel.post.envelope("agent:ann", bob.id, "x"))
    return bob


def waiting(agent):
    return [(x.envelope.sender, x.envelope.body) for x in agent.mailbox.waiting]


async def test_the_end_of_a_task(stage, bob):
    made = await stage.call("enqueue", bob, queue="one", payload="do it")
    await stage.call("task wait", task_id=made.task_id)
    await settled()
    [(sender, body)] = waiting(bob)
    assert sender == "queue:one" and made.task_id in body and "aegis_task_status" in body
    assert "do it" in (await stage.call("task show", bob, task_id=made.task_id)).result


async def test_a_result_that_is_longer_than_a_turn(stage, bob, limits):
    limits(turn_bytes=2_000, mailbox_letters=100)
    await stage.kernel.config.refresh()
    made = await stage.call("enqueue", bob, queue="one", payload="long " * 360)
    await stage.call("task wait", task_id=made.task_id)
    await settled()
    assert "There is no room here for its result" in waiting(bob)[0][1]


async def test_the_answers_of_a_group(stage, bob):
    await stage.call("group spawn-mixed", bob, group="g", profiles=["echo", "echo"])
    await stage.call("group broadcast", bob, group="g", objective="what now?", callback=True)
    await stage.call("group wait-all", bob, group="g")
    await settled()
    [(_, body)] = waiting(bob)
    assert body.startswith("ended: ") and "aegis_group_wait_all" in body


async def test_many_changes_of_a_canvas_become_one_notice(stage, bob, clock):
    await stage.call("canvas open", name="plan", file="plan.md")
    await stage.call("canvas subscribe", bob, name="plan")
    for n in range(50):
        await stage.call("canvas write-section", name="plan", section="a", content=f"line {n}")
    clock.jump(1)  # who writes is answered first, and others are told a moment later
    await settled()
    assert waiting(bob) == [("canvas:plan", "plan has changed more often than there is room here for; read it again")]


async def test_a_new_name_given_by_a_person(stage, bob):
    await stage.call("rename", old_handle="bob", new_handle="robert")
    assert waiting(bob)[0][0] == "system"


async def test_a_payload_that_no_worker_could_read_is_refused_at_once(stage, bob, limits):
    limits(turn_bytes=2_000)
    await stage.kernel.config.refresh()
    with pytest.raises(Refused, match=r"limits.turn_bytes"):
        await stage.call("enqueue", queue="one", payload="x" * 3_000)
    before = len(list(stage.kernel.roster))
    with pytest.raises(Refused, match=r"limits.turn_bytes"):
        await stage.call("spawn", agent="echo", prompt="x" * 3_000)
    assert len(list(stage.kernel.roster)) == before, "nobody is started for it"


async def test_an_agent_does_not_fill_a_queue(stage, bob, project):
    text = (project / ".aegis.yaml").read_text()
    (project / ".aegis.yaml").write_text(text.replace("{agent: echo}", "{agent: echo, max_pending_by_agent: 3}"))
    await stage.kernel.config.refresh()
    await stage.call("queue pause", queue="one")
    for n in range(3):
        await stage.call("enqueue", bob, queue="one", payload=str(n))
    with pytest.raises(Refused, match=r"queues.one.max_pending_by_agent is 3"):
        await stage.call("enqueue", bob, queue="one", payload="4")
    await stage.call("enqueue", queue="one", payload="of a person")


async def test_nothing_waits_for_a_program_that_reads_no_mail(stage, limits):
    limits()
    await stage.kernel.config.refresh()
    program = Caller("schedule", "nightly")
    await stage.call("group spawn-mixed", program, group="g", profiles=["echo"])
    await stage.call("group broadcast", program, group="g", objective="what now?", callback=True)
    await stage.call("group wait-all", program, group="g")
    await stage.call("send", program, handle=next(iter(stage.kernel.roster)).handle, text="x")
    for agent in list(stage.kernel.roster):
        await stage.kernel.roster.close(agent)
    assert [x.envelope.recipient for x in stage.kernel.post.letters() if ":" in x.envelope.recipient] == []
