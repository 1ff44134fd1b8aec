"""A run that an agent began may do what that agent may, and a person says which workflows agents may begin."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from workflow_stage import ANNA, Stage, quiet

import aegis_approvals.plugin
import aegis_group.plugin
import aegis_reducers.plugin
import aegis_workflows.plugin
from aegis import Caller, Refused
from aegis_workflow.testing import PERSON

FLOWS = """
from aegis_workflow.api import workflow


@workflow
async def shell(engine, cmd: str):
    return (await engine.bash(cmd, idempotent=True)).stdout


@workflow
async def later(engine, cmd: str):
    await engine.ask_human("go on?")
    return (await engine.bash(cmd)).stdout


@workflow
async def delegates(engine, queue: str):
    await engine.delegate(queue, "do it")


@workflow
async def spawns(engine, profile: str):
    return await engine.spawn(profile)


@workflow
async def gathers(engine, profile: str):
    return await engine.spawn_group("g", [profile])


@workflow
async def judges(engine, profile: str):
    await engine.spawn_group("g", ["reader"])
    await engine.broadcast("g", "look")
    return await engine.wait_all("g", reducer=f"judge:{profile}")


@workflow
async def writes_to(engine, handle: str):
    await engine.tell(handle, "hello")
    try:
        await engine.send(handle, "hurry", timeout=0)
    finally:
        await engine.close(handle)


@workflow
async def risky(engine):
    return "risky"


@workflow
async def looks(engine):
    return engine.list_sessions()


@workflow
async def unlisted(engine):
    return "ran"
"""
CONFIG = """
agents:
  reader: {provider: echo, permission: read}
  writer: {provider: echo, permission: write}
  power: {provider: echo, permission: full}
  narrow: {provider: echo, permission: full, verbs: [workflow run]}
queues:
  strong: {agent: power}
  weak: {agent: reader}
workflows:
  files: [flows.py]
  allow:
    shell: {agents: ["*"], permission: read}
    later: {agents: [writer]}
    delegates: {agents: [reader, narrow], permission: read}
    spawns: {agents: [reader, writer, narrow], permission: read}
    gathers: {agents: [reader], permission: read}
    judges: {agents: [reader], permission: read}
    writes_to: {agents: [reader, narrow], permission: read}
    risky: {agents: [writer], permission: full}
    looks: {agents: [reader, narrow], permission: read}
"""


@pytest.fixture
def config(project) -> str:
    (project / "flows.py").write_text(FLOWS)
    return CONFIG


@pytest.fixture
def plugins(plugins):
    return {
        **plugins, "approvals": aegis_approvals.plugin, "group": aegis_group.plugin, "reducers": aegis_reducers.plugin,
        "workflows": aegis_workflows.plugin,
    }  # fmt: skip


async def ran(stage: Stage, own: str, name: str, /, **kwargs):
    """Return how the workflow ended that a new agent of this profile began."""
    agent = await stage.kernel.roster.spawn(own, f"{own}-one")
    begun = await stage.call("workflow run", agent, name=name, kwargs=kwargs)
    return await stage.end(begun.workflow_id)


async def requests(stage: Stage):
    return await stage.call("approvals list", all=True)


async def asked(stage: Stage):
    with trio.fail_after(30):
        while not (open_ := await stage.call("approvals list")):
            await quiet()
    return open_[0]


async def test_a_command_for_a_reader_is_denied_not_run_and_on_record(stage: Stage, project):
    row = await ran(stage, "reader", "shell", cmd="touch made")
    assert row.status == "error"
    assert "`touch made` was denied for reader-one: this agent's permission is read" in row.error
    assert not (project / "made").exists()
    [request] = await requests(stage)
    assert (request.agent, request.outcome, request.kind) == ("reader-one", "denied", "execute")
    assert request.title == "touch made (workflow shell)"


@pytest.mark.parametrize(("verb", "made"), [("approvals allow", True), ("approvals deny", False)])
async def test_a_command_for_a_writer_is_asked_about(stage: Stage, project, verb, made):
    agent = await stage.kernel.roster.spawn("writer", "writer-one")
    begun = await stage.call("workflow run", agent, name="shell", kwargs={"cmd": "touch made"})
    request = await asked(stage)
    assert not (project / "made").exists()
    await stage.call(verb, request=request.id)
    row = await stage.end(begun.workflow_id)
    assert ((project / "made").exists(), row.status == "ok") == (made, made)
    assert [one.who for one in await requests(stage)] == ["human:anna"]


async def test_a_command_for_one_with_full_permission_is_run_and_on_record(stage: Stage):
    row = await ran(stage, "power", "shell", cmd="echo hi")
    assert row.result == "hi\n"
    assert [(r.title, r.outcome) for r in await requests(stage)] == [("echo hi (workflow shell)", "allowed")]


async def test_a_command_for_a_person_is_run_and_needs_no_record(stage: Stage):
    row = await stage.end(await stage.begin("shell", cmd="echo hi"))
    assert (row.result, await requests(stage)) == ("hi\n", [])


async def test_a_rule_answers_for_its_commands_too(stage: Stage, project):
    rule = (
        "plugins:\n  approvals:\n    rules:\n      - {agent: writer, kind: execute, match: 'echo *', answer: allow}\n"
    )
    (project / ".aegis.yaml").write_text(CONFIG + rule)
    await stage.kernel.config.refresh()
    assert (await ran(stage, "writer", "shell", cmd="echo hi")).result == "hi\n"


async def test_an_answered_command_is_not_asked_about_again_after_a_restart_one_to_come_is(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        agent = await kernel.roster.spawn("writer", "writer-one")
        run = (await stage.call("workflow run", agent, name="later", kwargs={"cmd": "echo hi"})).workflow_id
        with trio.fail_after(30):
            while not (await stage.call("workflow show", workflow_id=run)).asks:
                await quiet()
    async with kernel_with(**plugins) as kernel:  # the agent has no session until somebody writes to it
        stage = Stage(kernel, echo)
        await stage.call("workflow answer", workflow_id=run, text="yes")
        request = await asked(stage)
        assert request.agent == "writer-one"
        await stage.call("approvals allow", request=request.id)
        assert (await stage.end(run)).result == "hi\n"


async def test_a_command_for_an_agent_that_is_closed_is_not_run(stage: Stage, project):
    agent = await stage.kernel.roster.spawn("writer", "writer-one")
    run = (await stage.call("workflow run", agent, name="later", kwargs={"cmd": "touch made"})).workflow_id
    with trio.fail_after(30):
        while not (await stage.call("workflow show", workflow_id=run)).asks:
            await quiet()
    await stage.kernel.roster.close(agent)
    await stage.call("workflow answer", workflow_id=run, text="yes")
    row = await stage.end(run)
    assert "is not alive here, and nothing is executed for it" in row.error
    assert not (project / "made").exists()


async def test_its_commands_have_the_variables_of_its_cli_and_not_all_of_ours(stage: Stage):
    stage.kernel.environment.exact = False
    stage.kernel.environment["SECRET_OF_AEGIS"] = "hidden"
    row = await ran(stage, "power", "shell", cmd="echo ${SECRET_OF_AEGIS:-none}")
    assert row.result == "none\n"
    row = await stage.end(await stage.begin("shell", cmd="echo ${SECRET_OF_AEGIS:-none}"))
    assert row.result == "hidden\n"


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("enqueue", {"queue": "strong", "payload": "edit f hi"}),
        ("delegates", {"queue": "strong"}),
        ("prompt", {"agent": "power", "text": "edit f hi"}),
        ("spawns", {"profile": "power"}),
        ("gathers", {"profile": "power"}),
        ("judges", {"profile": "power"}),
    ],
)
async def test_no_workflow_gives_a_reader_a_wider_agent(stage: Stage, name, kwargs):
    row = await ran(stage, "reader", name, **kwargs)
    assert row.status == "error" and "may not spawn 'power'" in row.error
    assert [agent.profile_name for agent in stage.kernel.roster] == ["reader"]


async def test_a_reader_s_workflow_still_does_what_the_reader_may(stage: Stage):
    agent = await stage.kernel.roster.spawn("reader", "reader-one")
    for name, kwargs in (
        ("spawns", {"profile": "reader"}), ("delegates", {"queue": "weak"}), ("gathers", {"profile": "reader"}),
        ("prompt", {"agent": "reader", "text": "hello"}), ("enqueue", {"queue": "weak", "payload": "do it"}),
    ):  # fmt: skip
        begun = await stage.call("workflow run", agent, name=name, kwargs=kwargs)
        row = await stage.end(begun.workflow_id)
        assert (name, row.status, row.error) == (name, "ok", "")


VERBS = [("spawns", "spawn"), ("delegates", "enqueue"), ("writes_to", "handoff"), ("looks", "sessions")]


@pytest.mark.parametrize(("name", "verb"), VERBS)
async def test_verbs_that_an_agent_does_not_have_its_workflow_does_not_have_either(stage: Stage, name, verb):
    other = await stage.kernel.roster.spawn("reader", "someone")
    given = {"spawns": {"profile": "narrow"}, "delegates": {"queue": "strong"}, "writes_to": {"handle": "someone"}}
    row = await ran(stage, "narrow", name, **given.get(name, {}))
    assert row.status == "error" and f"'{verb}'" in row.error, row.error
    assert not stage.echo.driver.sessions[other.id].heard


async def test_a_stranger_s_turn_is_not_interrupted_nor_its_agent_closed(stage: Stage):
    stage.echo.driver.gated = True
    other, post = await stage.kernel.roster.spawn("writer", "someone"), stage.kernel.post
    await post.deliver(post.envelope("human:anna", other.id, "work"))
    await quiet()
    row = await ran(stage, "reader", "writes_to", handle="someone")
    assert row.status == "error"
    assert stage.kernel.roster.get(other.id)
    session = stage.echo.driver.sessions[other.id]
    assert len(session.heard) == 1, "the turn goes on, and what was said to it waits"


async def test_a_workflow_that_no_person_listed_is_refused_with_the_lines_to_add(stage: Stage, project):
    agent = await stage.kernel.roster.spawn("writer", "writer-one")
    with pytest.raises(Refused) as refused:
        await stage.call("workflow run", agent, name="unlisted")
    said = str(refused.value)
    assert "agent:writer-one (profile 'writer', permission write) may not run the workflow 'unlisted'" in said
    lines = said[said.index("workflows:\n") :]
    assert lines == "workflows:\n  allow:\n    unlisted: {agents: [writer], permission: write}"
    (project / ".aegis.yaml").write_text(CONFIG + lines.removeprefix("workflows:\n  allow:\n"))
    await stage.kernel.config.refresh()
    begun = await stage.call("workflow run", agent, name="unlisted")
    assert (await stage.end(begun.workflow_id)).result == "ran"


async def test_one_that_is_listed_for_others_or_needs_more_is_refused(stage: Stage):
    reader = await stage.kernel.roster.spawn("reader", "reader-one")
    with pytest.raises(Refused, match="it is listed for writer"):
        await stage.call("workflow run", reader, name="later", kwargs={"cmd": "true"})
    with pytest.raises(Refused, match="it needs the permission auto"):
        await stage.call("workflow run", reader, name="tdd_cycle", kwargs={"feature": "a door"})
    with pytest.raises(Refused, match="it needs the permission full"):
        await stage.call("workflow run", await stage.kernel.roster.spawn("writer", "w"), name="risky")
    assert (await ran(stage, "writer", "prompt", agent="writer", text="hello")).status == "ok", "as its plugin says"


async def test_agents_see_those_that_they_may_run(stage: Stage):
    reader = await stage.kernel.roster.spawn("reader", "reader-one")
    names = {row.name for row in await stage.call("workflow list", reader)}
    assert {"shell", "spawns", "prompt", "enqueue"} <= names
    assert not {"unlisted", "later", "tdd_cycle"} & names
    everything = {row.name: (row.source, row.agents) for row in await stage.call("workflow list")}
    assert everything["unlisted"] == ("flows.py", "")
    assert everything["later"] == ("flows.py", "writer (auto)")
    assert everything["tdd_cycle"] == ("workflows", "* (auto)")


async def test_what_acts_for_an_agent_is_held_to_the_same_however_it_is_said(stage: Stage):
    agent = await stage.kernel.roster.spawn("reader", "reader-one")
    own = stage.kernel.roster.caller(agent)
    strangers = [Caller("peer", "ann@mars", class_="agent"), Caller("queue", "x", on_behalf_of="agent:ghost")]
    for caller in (own, own.through("queue", "strong"), own.through("schedule").through("group"), *strangers):
        with pytest.raises(Refused, match="may not run the workflow 'unlisted'"):
            await stage.kernel.verbs.call(caller, "workflow run", {"name": "unlisted"})
    for person in (ANNA, ANNA.through("schedule", "nightly")):
        begun = await stage.kernel.verbs.call(person, "workflow run", {"name": "unlisted"})
        assert (await stage.end(begun.workflow_id)).result == "ran"


async def test_what_a_stranger_of_another_machine_began_executes_nothing(stage: Stage, project):
    caller = Caller("peer", "ann@mars", class_="agent")
    begun = await stage.kernel.verbs.call(caller, "workflow run", {"name": "shell", "kwargs": {"cmd": "touch made"}})
    row = await stage.end(begun.workflow_id)
    assert row.status == "error" and not (project / "made").exists()


async def test_an_agent_has_so_many_runs_under_way_and_a_person_as_many_as_wanted(stage: Stage, project):
    (project / ".aegis.yaml").write_text(CONFIG.replace("  allow:", "  runs_per_agent: 2\n  allow:"))
    await stage.kernel.config.refresh()
    agent = await stage.kernel.roster.spawn("writer", "writer-one")
    runs = [(await stage.call("workflow run", agent, name="later", kwargs={"cmd": "true"})).workflow_id for _ in "ab"]
    for caller in (stage.kernel.roster.caller(agent), stage.kernel.roster.caller(agent).through("queue")):
        with pytest.raises(
            Refused, match=r"has 2 runs under way, and an agent may have 2 \(`workflows\.runs_per_agent`"
        ):
            await stage.kernel.verbs.call(caller, "workflow run", {"name": "later", "kwargs": {"cmd": "true"}})
    for _ in range(3):
        await stage.begin("later", cmd="true")
    await stage.call("workflow cancel", workflow_id=runs[0])
    assert (await stage.call("workflow run", agent, name="later", kwargs={"cmd": "true"})).status == "running"
    with pytest.raises(Refused, match="has 2 runs under way"):
        await stage.call("workflow retry", agent, workflow_id=runs[0])
    other, begun = await stage.kernel.roster.spawn("writer", "writer-two"), []

    async def begin() -> None:
        with suppress(Refused):
            begun.append(await stage.call("workflow run", other, name="later", kwargs={"cmd": "true"}))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(begin)
    assert len(begun) == 2, "also of those that are asked for at once"


async def test_an_agent_that_sees_its_own_sees_its_own_runs(stage: Stage, project):
    (project / ".aegis.yaml").write_text(
        CONFIG.replace("permission: read}\n  writer", "permission: read, sees: own}\n  writer")
    )
    await stage.kernel.config.refresh()
    theirs = await stage.begin("unlisted")
    await stage.end(theirs)
    reader = await stage.kernel.roster.spawn("reader", "reader-one", by=ANNA)
    writer = await stage.kernel.roster.spawn("writer", "writer-one", by=ANNA)
    others = (await stage.call("workflow run", writer, name="shell", kwargs={"cmd": "true"})).workflow_id
    own = (await stage.call("workflow run", reader, name="looks")).workflow_id
    await stage.end(own)
    assert others not in {row.workflow_id for row in await stage.call("workflow runs", reader)}
    assert (await stage.call("workflow show", reader, workflow_id=own)).status == "ok"
    for verb in ("workflow show", "workflow logs"):
        with pytest.raises(Refused, match="is none of yours"):
            await stage.call(verb, reader, workflow_id=others)
        await stage.call(verb, writer, workflow_id=own)


@pytest.mark.parametrize("verb", ["workflow answer", "workflow decide", "workflow replay", "workflow retry"])
async def test_what_is_a_person_s_to_decide_no_program_of_an_agent_decides(stage: Stage, verb):
    run = await stage.begin("later", cmd="true")
    with trio.fail_after(30):
        while not (await stage.call("workflow show", workflow_id=run)).asks:
            await quiet()
    agent = await stage.kernel.roster.spawn("reader", "reader-one")
    more = {"workflow answer": {"text": "yes"}, "workflow decide": {"decision": "skip"}}.get(verb, {})
    caller = stage.kernel.roster.caller(agent).through("queue")
    with pytest.raises(Refused):
        await stage.kernel.verbs.call(caller, verb, {"workflow_id": run, **more})
    assert (await stage.call("workflow show", workflow_id=run)).asks
    await stage.kernel.verbs.call(PERSON, "workflow cancel", {"workflow_id": run})
