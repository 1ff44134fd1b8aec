"""An agent that sees its own reads nothing of strangers, on any surface; who talks to it is no stranger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import aegis_approvals.plugin
import aegis_canvas.plugin
import aegis_inbox.plugin
import aegis_queue.plugin
import aegis_records.plugin
import aegis_terminal.plugin
import aegis_workflow.plugin
from aegis import Caller, Kernel, Refused, hookimpl
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin
from aegis_workflow.api import workflow

ANNA = Caller("human", "anna")
CONFIG = """
agents:
  any: {provider: echo, permission: full}
  own: {provider: echo, permission: full, sees: own}
  all: {provider: echo, permission: full, sees: all}
queues:
  work: {agent: any}
  seeing: {agent: all}
workflows:
  allow: {rests: {agents: ["*"], permission: read}}
"""
WAYS: tuple[Callable[[Caller], Caller], ...] = (
    lambda c: c,
    lambda c: c.through("queue"),
    lambda c: c.through("workflow").through("group"),
    lambda c: Caller("schedule", "nightly", c.agent_id, on_behalf_of=c.principal),
)


@workflow
async def rests(engine):
    return "rested"


class Flows:
    @hookimpl
    def aegis_workflows(self):
        return [rests]


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(project: Path, echo: EchoPlugin) -> dict[str, object]:
    (project / ".aegis.yaml").write_text(CONFIG)
    ours = (aegis_approvals, aegis_canvas, aegis_inbox, aegis_queue, aegis_records, aegis_terminal, aegis_workflow)
    return {"echo": echo, **{member.__name__.removeprefix("aegis_"): member.plugin for member in ours}, "f": Flows()}


class Strangers:
    """An agent that has a task, a terminal, a canvas, a run and mail; nobody here knows it."""

    def __init__(self, kernel: Kernel, agent: Agent) -> None:
        self.kernel, self.agent = kernel, agent
        self.reads: dict[str, dict[str, object]] = {}

    async def call(self, verb: str, by: Caller | Agent = ANNA, /, **args: object):
        caller = self.kernel.roster.caller(by) if isinstance(by, Agent) else by
        with trio.fail_after(30):
            return await self.kernel.verbs.call(caller, verb, args)

    async def fill(self) -> Strangers:
        letter = await self.call("send", handle=self.agent.handle, text="the plan is secret")
        await self.kernel.post.wait_turn(letter.id)
        task = (await self.call("enqueue", self.agent, queue="work", payload="a secret task")).task_id
        await self.call("task wait", task_id=task)
        run = (await self.call("workflow run", self.agent, name="rests")).workflow_id
        await self.call("workflow wait", workflow_id=run)
        await self.call("term spawn", self.agent, name="theirs", shell="/bin/sh")
        await self.call("term run", self.agent, name="theirs", cmd="echo secret")
        await self.call("canvas open", self.agent, name="plan", file="docs/plan.md")
        self.reads = {
            "read": {"handle": self.agent.handle}, "message show": {"message": letter.id},
            "message list": {"handle": self.agent.handle}, "task show": {"task_id": task},
            "task logs": {"task_id": task}, "term read": {"name": "theirs"}, "term tail": {"name": "theirs"},
            "term screen": {"name": "theirs"}, "canvas read": {"name": "plan"}, "canvas show": {"name": "plan"},
            "canvas log": {"name": "plan"}, "workflow show": {"workflow_id": run},
            "workflow logs": {"workflow_id": run},
        }  # fmt: skip
        return self


@pytest.fixture
async def strangers(kernel: Kernel) -> Strangers:
    return await Strangers(kernel, await kernel.roster.spawn("any", "stranger")).fill()


async def test_nothing_of_a_stranger_is_read(kernel: Kernel, strangers: Strangers):
    one = kernel.roster.caller(await kernel.roster.spawn("own", "one"))
    for verb, args in strangers.reads.items():
        for way in WAYS:
            with pytest.raises(Refused, match=r"you see your own.*`sees: all` in your profile"):
                await strangers.call(verb, way(one), **args)
    for verb, args in (("term subscribe", {"name": "theirs"}), ("canvas subscribe", {"name": "plan"})):
        with pytest.raises(Refused, match="`sees: all`"):
            await strangers.call(verb, one, **args)
    for inside in ("records turns", "last-words"):
        with pytest.raises(Refused, match="`sees: all`"):
            await strangers.call(inside, one.through("workflow"), handle="stranger")
    await strangers.call("term close", strangers.agent, name="theirs")
    with pytest.raises(Refused, match="`sees: all`"):
        await strangers.call("term spawn", one, name="theirs", shell="/bin/sh")
    for way in WAYS:
        for empty in ("message list", "task list", "canvas list", "term list", "workflow runs"):
            assert await strangers.call(empty, way(one)) == [], empty
        sheet = await strangers.call("queue show", way(one), queue="work")
        assert "secret" not in repr(sheet)


async def test_who_may_see_all_and_people_read_everything(kernel: Kernel, strangers: Strangers):
    readers = [kernel.roster.caller(await kernel.roster.spawn(name, f"{name}-one")) for name in ("any", "all")]
    for reader in (*readers, ANNA, ANNA.through("workflow")):
        for verb, args in strangers.reads.items():
            await strangers.call(verb, reader, **args)
        assert len(await strangers.call("message list", reader)) > 1
        assert [row.payload for row in await strangers.call("task list", reader)] == ["a secret task"]


@pytest.mark.parametrize("whose", ["wrote to it", "started it", "it started"])
async def test_who_has_to_do_with_it_is_no_stranger(kernel: Kernel, whose: str):
    by = {}
    if whose == "started it":
        other = await Strangers(kernel, await kernel.roster.spawn("any", "stranger")).fill()
        by = {"by": kernel.roster.caller(other.agent)}
    one = await kernel.roster.spawn("own", "one", **by)
    if whose == "it started":
        starter = kernel.roster.caller(one)
        other = await Strangers(kernel, await kernel.roster.spawn("any", "stranger", starter)).fill()
    elif whose != "started it":
        other = await Strangers(kernel, await kernel.roster.spawn("any", "stranger")).fill()
        await other.call("handoff", other.agent, target_handle="one", context="look at what I do")
    for verb, args in other.reads.items():
        if verb not in ("message show", "task logs"):
            await other.call(verb, one, **args)
    for verb in ("message show", "task logs"):  # mail that it neither sent nor got; a worker that another started
        with pytest.raises(Refused, match="sees: all"):
            await other.call(verb, one, **other.reads[verb])


async def test_to_write_to_somebody_opens_nothing(kernel: Kernel, strangers: Strangers):
    one = await kernel.roster.spawn("own", "one")
    for way in WAYS:
        await strangers.call("handoff", way(kernel.roster.caller(one)), target_handle="stranger", context="hello")
    for verb, args in strangers.reads.items():
        with pytest.raises(Refused, match="`sees: all`"):
            await strangers.call(verb, one, **args)


async def test_a_worker_sees_its_own_and_so_do_those_it_starts(kernel: Kernel, echo: EchoPlugin, strangers: Strangers):
    echo.driver.gated = True
    task = (await strangers.call("enqueue", queue="work", payload="a task of a person")).task_id
    with trio.fail_after(30):
        while not (worker := next((a for a in kernel.roster if a.by == "queue:work" and a.turn), None)):
            await trio.testing.wait_all_tasks_blocked(0.01)
    child = await kernel.roster.spawn("any", "child", kernel.roster.caller(worker))
    for agent in (worker, child):
        for verb, args in strangers.reads.items():
            with pytest.raises(Refused, match="`sees: all`"):
                await strangers.call(verb, agent, **args)
    assert "a task of a person" in str(await strangers.call("task show", worker, task_id=task))
    assert [row.id for row in await strangers.call("task list", worker)] == [task]
    [mail] = await strangers.call("message list", worker)
    assert "a task of a person" in mail.body
    for wide in ("enqueue", "spawn"):
        args = {"queue": "seeing", "payload": "look for me"} if wide == "enqueue" else {"agent": "all"}
        for agent in (worker, child):
            for way in WAYS:
                with pytest.raises(Refused, match="may not spawn 'all'"):
                    await strangers.call(wide, way(kernel.roster.caller(agent)), **args)


async def test_what_it_sees_is_the_same_after_a_restart(kernel_with, plugins: dict[str, object]):
    async with kernel_with(**plugins) as kernel:
        strangers = await Strangers(kernel, await kernel.roster.spawn("any", "stranger")).fill()
        friend = await kernel.roster.spawn("any", "friend")
        one = await kernel.roster.spawn("own", "one")
        child = await kernel.roster.spawn("any", "child", kernel.roster.caller(one))
        await strangers.call("handoff", friend, target_handle="one", context="hello")
        await strangers.call("close", handle="friend")
        reads = {k: v for k, v in strangers.reads.items() if k not in ("term tail", "term screen")}
    async with kernel_with(**plugins) as kernel:
        again = Strangers(kernel, kernel.roster.find("stranger"))
        for agent in (one, child):
            caller = kernel.roster.caller(kernel.roster.get(agent.id))
            for verb, args in reads.items():
                with pytest.raises(Refused, match="`sees: all`"):
                    await again.call(verb, caller, **args)
        one = kernel.roster.find("one")
        assert "hello" in str(await again.call("message list", one))
        assert await kernel.post.heard_from(one.id, [friend.id])
        assert not await kernel.post.heard_from(one.id, [again.agent.id])
