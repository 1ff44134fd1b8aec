"""Whose act a run's acts are: those of the one who began it, with no more rights, also after a restart."""

from __future__ import annotations

import pytest
from workflow_stage import Stage, quiet

from aegis import hookimpl
from aegis.verbs import VerbCall
from aegis_workflow.api import workflow

VERBS = ["workflow run", "enqueue"]


class Audit:
    """An interceptor that keeps every call."""

    name = "audit"

    def __init__(self) -> None:
        self.calls: list[VerbCall] = []

    @hookimpl
    def aegis_interceptors(self):
        return [self]

    async def before_verb(self, call: VerbCall) -> None:
        self.calls.append(call)

    def callers(self, verb: str):
        return [call.caller for call in self.calls if call.verb == verb]


@pytest.fixture
def config() -> str:
    return (
        "agents:\n  coder: {provider: echo}\n"
        f"  worker: {{provider: echo, verbs: {VERBS}}}\n"
        "queues:\n  work: {agent: worker}\n"
        "workflows: {allow: {asks_then_enqueues: {agents: [worker]}, closes: {agents: ['*']}}}\n"
    )


@pytest.fixture
def audit(plugins):
    plugins["audit"] = Audit()
    return plugins["audit"]


@workflow
async def asks_then_enqueues(engine):
    await engine.ask_human("go on?")
    await engine.enqueue("work", "count the stars")
    await engine.dissolve_group("g")


@workflow
async def closes(engine, handle: str):
    await engine.close(handle)


async def test_a_run_acts_for_the_agent_that_began_it_also_after_a_restart(kernel_with, plugins, audit, echo):
    async with kernel_with(**plugins) as kernel:
        agent = await kernel.roster.spawn("worker", "calm-codd")
        begun = await Stage(kernel, echo).call("workflow run", agent, name="asks_then_enqueues")
        await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.call("workflow answer", workflow_id=begun.workflow_id, text="yes")
        row = await stage.end(begun.workflow_id)
    [caller] = audit.callers("enqueue")
    assert str(caller) == f"workflow:{begun.workflow_id}"
    assert (caller.principal, caller.agent_id, caller.via) == ("agent:calm-codd", agent.id, ("workflow",))
    assert caller.verbs == tuple(VERBS)
    assert row.status == "error" and "group dissolve" in row.error, "what the agent may not do, its run may not either"
    assert not audit.callers("group dissolve")


async def test_a_run_that_a_person_began_acts_for_that_person(audit, kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("asks_then_enqueues")
        await quiet()
        await stage.call("workflow answer", workflow_id=run, text="yes")
        await stage.end(run)
    [caller] = audit.callers("enqueue")
    assert (caller.principal, caller.agent_id, caller.class_, caller.verbs) == ("human:anna", "", "program", None)


async def test_a_run_of_an_agent_closes_no_stranger(stage):
    agent = await stage.kernel.roster.spawn("coder", "calm-codd")
    stranger = await stage.kernel.roster.spawn("coder", "wry-hopper")
    begun = await stage.call("workflow run", agent, name="closes", kwargs={"handle": "wry-hopper"})
    row = await stage.end(begun.workflow_id)
    assert row.status == "error" and "may not close it" in row.error
    assert stage.kernel.roster.get(stranger.id)
    child = await stage.kernel.roster.spawn("coder", "kind-karp", by=stage.kernel.roster.caller(agent))
    begun = await stage.call("workflow run", agent, name="closes", kwargs={"handle": "kind-karp"})
    assert (await stage.end(begun.workflow_id)).status == "ok"
    assert stage.kernel.roster.get(child.id) is None
