"""No chain of verbs gives an agent more than it has: every verb, directly and through programs, for every mode."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import aegis_approvals.plugin
import aegis_budget.plugin
import aegis_canvas.plugin
import aegis_cli.plugin
import aegis_configedit.plugin
import aegis_environment.plugin
import aegis_group.plugin
import aegis_inbox.plugin
import aegis_queue.plugin
import aegis_records.plugin
import aegis_reducers.plugin
import aegis_terminal.plugin
import aegis_workflow.plugin
import aegis_workflows.plugin
from aegis import AegisError, Caller, Decision, Kernel, NotFound, hookimpl
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin
from aegis_workflow.api import workflow

ANNA = Caller("human", "anna")
MODES = ("read", "auto", "write", "full")  # by what is done without asking anyone
WIDER = {mode: MODES[n + 1 :] for n, mode in enumerate(MODES)}
CONFIG: dict[str, Any] = {
    "default_agent": "full",
    "agents": {mode: {"provider": "echo", "permission": mode} for mode in MODES}
    | {"lead": {"provider": "echo", "permission": "read", "spawns": ["full"]}},
    "queues": {mode: {"agent": mode} for mode in MODES},
    "groups": {"presets": {f"of-{mode}": {"profiles": [mode]} for mode in MODES}},
    "workflows": {"allow": {name: {"agents": ["*"], "permission": "read"} for name in ("hires", "shells", "closing")}},
}
WAYS: dict[str, Callable[[Caller], Caller]] = {
    "directly": lambda c: c,
    "queue": lambda c: c.through("queue", "full"),
    "group": lambda c: c.through("group", "trio"),
    "workflow": lambda c: c.through("workflow", "01RUN"),
    "inbox": lambda c: c.through("inbox"),
    "workflow, queue, group": lambda c: c.through("workflow").through("queue").through("group"),
    "schedule": lambda c: Caller("schedule", "nightly", c.agent_id, on_behalf_of=c.principal),
    "by name": lambda c: Caller("schedule", "nightly", on_behalf_of=c.principal).through("queue"),
}


@workflow
async def hires(engine, how: str, profile: str):
    """Try one way of starting an agent."""
    match how:
        case "spawn":
            return await engine.spawn(profile)
        case "enqueue":
            return await engine.enqueue(profile, "work")
        case "delegate":
            return await engine.delegate(profile, "work")
        case "group":
            return await engine.spawn_group("hired", [profile])
        case "preset":
            return await engine.spawn_group("hired", preset=f"of-{profile}")
        case "ephemeral":
            async with engine.ephemeral_group([profile]) as group:
                return group
    raise AssertionError(how)


@workflow
async def shells(engine):
    """Run a command of the shell."""
    return (await engine.bash("touch made-by-a-workflow")).exit


@workflow
async def closing(engine, handle: str):
    """Close an agent."""
    await engine.close(handle)


# What only says something, or asks to be told.
WORDS = {"handoff", "meta", "workflow replay"} | {
    f"{kind} {verb}" for kind in ("canvas", "term") for verb in ("subscribe", "unsubscribe", "claim", "release")
}


class Person:
    """Says no to everything that is asked, as a person would who looks at none of it."""

    name = "person"

    async def permission(self, seat, request):
        return None if request.presumed else Decision("denied", "nobody looks")

    @hookimpl
    def aegis_interceptors(self):
        return [self]

    @hookimpl
    def aegis_workflows(self):
        return [hires, shells, closing]


@pytest.fixture
def plugins(project: Path) -> dict[str, object]:
    (project / ".aegis.yaml").write_text(json.dumps(CONFIG))
    members = (
        aegis_approvals, aegis_budget, aegis_canvas, aegis_cli, aegis_configedit, aegis_environment, aegis_group,
        aegis_inbox, aegis_queue, aegis_records, aegis_reducers, aegis_terminal, aegis_workflow, aegis_workflows,
    )  # fmt: skip
    ours = {member.__name__.removeprefix("aegis_"): member.plugin for member in members}
    return {"echo": EchoPlugin(), **ours, "person": Person()}


class Stage:
    """A stranger of `full` with everything that an agent can have, and the agents that try to use it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.count = 0

    async def call(self, verb: str, caller: Caller = ANNA, /, **args: Any) -> Any:
        with trio.fail_after(30):
            return await self.kernel.verbs.call(caller, verb, args)

    async def furnish(self) -> Stage:
        stranger = self.kernel.roster.caller(await self.kernel.roster.spawn("full", "stranger"))
        root = self.kernel.project.root
        (root / "README.md").write_text("# Read me\n\n## A\n\ntext\n")
        await self.call("canvas open", stranger, name="plan", file="docs/plan.md")
        await self.call("canvas write-section", stranger, name="plan", section="A", content="first")
        await self.call("term spawn", stranger, name="theirs", shell="/bin/sh")
        await self.call("group add", stranger, group="theirs", handle="stranger")
        self.task = (await self.call("enqueue", stranger, queue="full", payload="x")).task_id
        await self.call("task wait", task_id=self.task)
        self.run = (await self.call("workflow run", name="closing", kwargs={"handle": "stranger-two"})).workflow_id
        await self.call("workflow wait", workflow_id=self.run)
        self.letter = (await self.call("send", handle="stranger", text="hello")).id
        await self.kernel.post.wait_turn(self.letter)
        return self

    async def agent(self, mode: str) -> Agent:
        return await self.kernel.roster.spawn(mode, f"{mode}-one")

    def tries(self, verb: str, mode: str) -> Iterator[dict[str, Any]]:
        """Yield arguments with which the verb would be of use: on wider profiles, on what is the stranger's."""
        self.count += 1
        fresh, n = f"n{self.count}", self.count
        wide = WIDER[mode] or ("full",)
        canvas, term, group = {"name": "plan"}, {"name": "theirs"}, {"group": "theirs"}
        table: dict[str, list[dict[str, Any]]] = {
            "spawn": [{}, *({"agent": p} for p in (*wide, "lead"))],
            "enqueue": [{"queue": p, "payload": "x"} for p in wide],
            "group spawn": [{"profile": p, "group": f"g{n}"} for p in (*wide, "lead")],
            "group spawn-mixed": [
                *({"group": f"m{n}{p}", "profiles": [p]} for p in wide),
                *({"group": f"p{n}{p}", "preset": f"of-{p}"} for p in wide),
            ],
            "workflow run": [
                *({"name": "hires", "kwargs": {"how": how, "profile": p}, "wait": True} for p in wide
                  for how in ("spawn", "enqueue", "delegate", "group", "preset", "ephemeral")),
                {"name": "shells", "wait": True},
                {"name": "closing", "kwargs": {"handle": "stranger"}, "wait": True},
                {"name": "enqueue", "kwargs": {"queue": "full", "payload": "x"}, "wait": True},
            ],
            **{v: [{"handle": "stranger"}] for v in ("close", "interrupt", "restart", "reopen", "sleep", "wake")},
            "rename": [
                {"old_handle": "stranger", "new_handle": fresh}, {"old_handle": f"{mode}-one", "new_handle": "full"},
            ],
            "task cancel": [{"task_id": self.task}], "task retry": [{"task_id": self.task}],
            "workflow cancel": [{"workflow_id": self.run}], "workflow retry": [{"workflow_id": self.run}],
            "workflow answer": [{"workflow_id": self.run, "text": "yes"}],
            "workflow decide": [{"workflow_id": self.run, "decision": "rerun"}],
            "group add": [{"group": "theirs", "handle": f"{mode}-one"}, {"group": f"a{n}", "handle": "stranger"}],
            "group remove": [group | {"handle": "stranger"}], "group restart": [group | {"handle": "stranger"}],
            "group rename": [{"old": "theirs", "new": f"r{n}"}], "group dissolve": [group],
            "group move-member": [{"handle": "stranger", "from_group": "theirs", "to_group": f"t{n}"}],
            "group broadcast": [group | {"objective": "x"}], "group wait-all": [group], "group wait-any": [group],
            "group wait-quorum": [group | {"count": 1}],
            "canvas open": [{"name": f"{fresh}{number}", "file": file} for number, file in enumerate((
                "README.md", f"{fresh}.md", f"docs/{fresh}.md", "CMakeLists.txt", "requirements.txt", "AGENTS.md",
            ))],
            "canvas write-section": [{"name": c, "section": "A", "content": fresh} for c in ("plan", fresh)],
            "canvas append-to-section": [{"name": c, "section": "A", "text": fresh} for c in ("plan", fresh)],
            "canvas undo": [canvas | {"version": 2}], "canvas claim": [], "canvas release": [canvas | {"section": "A"}],
            "canvas write": [{"name": fresh, "section": "A", "content": "x"}],
            "canvas append": [{"name": fresh, "section": "A", "text": "x"}], "canvas close": [canvas],
            "term spawn": [
                {"name": fresh}, {"name": f"{fresh}e", "cwd": "/etc"}, {"name": f"{fresh}s", "env": {"A": "b"}},
            ],
            "term run": [term | {"cmd": f"touch made-{fresh}"}], "term close": [term],
            "term keys": [term | {"keys": "ctrl-c"}, term | {"keys": f"touch typed-{fresh} enter"}],
            "queue pause": [{"queue": "full"}], "queue resume": [{"queue": "full"}], "queue drain": [{"queue": "full"}],
            "queue requeue": [{"queue": "full"}], "send": [{"handle": "stranger", "text": "x"}],
            "message inbox": [{}], "config reload": [{}], "environment list": [{}], "records events": [{}],
            "approvals list": [{}], "approvals allow": [{"request": "1"}], "approvals deny": [{"request": "1"}],
            "approvals revoke": [{"rule": "1"}], "ledger export": [{}], "transcript": [{"handle": "stranger"}],
            "workflow record": [{"workflow_id": self.run}], "budget list": [{}], "report": [{"result": "x"}],
        }  # fmt: skip
        yield from table.get(verb, [])

    async def outcomes(self, mode: str, caller: Caller) -> dict[str, str]:
        """Try every verb and return those that did something, with what they said or did."""
        done = {}
        for verb in sorted(self.kernel.verbs.verbs):
            for number, args in enumerate(self.tries(verb, mode)):
                try:
                    await self.call(verb, caller, **args)
                except (AegisError, NotFound):
                    continue
                done[f"{verb} {number}"] = verb
        return done

    def modes_started(self, agent: Agent) -> set[str]:
        """Return the modes of everybody that acts for the agent, or for whom it started, alive or closed."""
        found, theirs = set(), {agent.id}
        for record in self.kernel.ledger.select("book='roster' and kind='spawned' order by seq"):
            if record.data["by"].get("agent_id") in theirs:
                theirs.add(record.key)
                found.add(record.data["profile"])
        return found


def tree(root: Path) -> dict[str, bytes]:
    """Return the project's files, without those of aegis."""
    files = (path for path in root.rglob("*") if path.is_file() and ".aegis" not in path.relative_to(root).parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.parametrize("mode", MODES)
async def test_no_way_gives_more_than_the_direct_one(kernel_with, plugins, project: Path, mode: str):
    async with kernel_with(**plugins) as kernel:
        stage = await Stage(kernel).furnish()
        agent = await stage.agent(mode)
        caller = kernel.roster.caller(agent)
        there = {v.name for v in kernel.verbs if "agent" in v.marks.for_ and not v.marks.read_only}
        untried = {verb for verb in there - WORDS if not [*stage.tries(verb, mode)]}
        assert not untried, "say in `tries` what somebody would try with these verbs"
        before = tree(project)
        direct = {**await stage.outcomes(mode, caller), **await stage.outcomes(mode, caller)}  # the first made things
        for name, way in WAYS.items():
            found = await stage.outcomes(mode, way(caller))
            assert found.keys() - direct.keys() == set(), f"{mode}: more through {name}"
        assert stage.modes_started(agent) <= set(MODES) - set(WIDER[mode]), "it started one that may do more"
        changed = {name for name, data in tree(project).items() if before.get(name) != data}
        assert all(allowed(mode, name) for name in changed), f"{mode} wrote what it may not: {sorted(changed)}"
        assert "stranger" in kernel.roster.live(), "somebody closed or renamed whom it did not start"
        terminals = {row.name for row in await stage.call("term list")}
        assert mode in ("write", "full") or terminals == {"theirs"}


def allowed(mode: str, name: str) -> bool:
    """Return whether such an agent may have changed the file without being asked: in a canvas, mostly."""
    match mode:
        case "read":
            return name == "docs/plan.md"
        case "auto":
            return name.startswith("docs/") and name.endswith(".md")
        case "write":
            return name.endswith(".md") and name != "AGENTS.md"
    return True


@pytest.mark.parametrize("mode", ["read", "auto", "write"])
async def test_no_task_gives_more_after_a_restart(kernel_with, plugins, project: Path, mode: str):
    """A person lets a queue have wider workers: tasks that an agent had put there are held to that agent."""
    plugins["echo"].driver.gated = True
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel)
        agent = await stage.agent(mode)
        gone = await kernel.roster.spawn(mode, "gone")
        await stage.call("queue pause", queue=mode)
        callers = [
            kernel.roster.caller(agent),
            kernel.roster.caller(agent).through("workflow"),
            kernel.roster.caller(gone),
        ]
        tasks = [(await stage.call("enqueue", by, queue=mode, payload="x")).task_id for by in callers]
        cancelled = (await stage.call("enqueue", callers[0], queue=mode, payload="again")).task_id
        await stage.call("task cancel", task_id=cancelled)
        await kernel.roster.rename(agent, "other-name")
        await kernel.roster.close(gone)
    wider = {**CONFIG, "queues": {name: {"agent": "full"} for name in MODES}}
    (project / ".aegis.yaml").write_text(json.dumps(wider))
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel)
        with pytest.raises(AegisError, match="may not spawn 'full'"):
            await stage.call("task retry", task_id=cancelled)  # by a person: it stays the agent's act
        await stage.call("queue resume", queue=mode)
        for task in tasks:
            with pytest.raises(AegisError, match="may not spawn 'full'"):
                await stage.call("task wait", task_id=task)
        assert not any(agent.profile_name == "full" for agent in kernel.roster)
        for by in (kernel.roster.caller(kernel.roster.find("other-name")), callers[2]):
            with pytest.raises(AegisError, match="may not spawn 'full'"):
                await stage.call("enqueue", by.through("workflow"), queue=mode, payload="x")


async def test_what_a_person_granted_is_given_through_every_way(kernel_with, plugins):
    """The rule is no wall against work: `lead`, of `read`, was given `full` agents by name."""
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel)
        lead = kernel.roster.caller(await kernel.roster.spawn("lead", "boss"))
        for n, way in enumerate(WAYS.values()):
            assert (await stage.call("spawn", way(lead), agent="full", handle=f"hired-{n}")).profile == "full"
            await stage.call(
                "task wait", task_id=(await stage.call("enqueue", way(lead), queue="full", payload="x")).task_id
            )
        row = await stage.call(
            "workflow run", lead, name="hires", kwargs={"how": "delegate", "profile": "full"}, wait=True
        )
        assert "x" not in str(row.error) and row.status == "ok"


async def test_a_judge_is_the_act_of_who_waits(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel)
        reader = await stage.agent("read")
        caller = kernel.roster.caller(reader)
        await stage.call("group spawn", caller, group="mine", profile="read")
        await stage.call("group broadcast", caller, group="mine", objective="look")
        for name, way in WAYS.items():
            with pytest.raises(AegisError, match=r"may not spawn 'full'|did not make the group mine"):
                await stage.call("group wait-all", way(caller), group="mine", reducer="judge:full")
            assert stage.modes_started(reader) == {"read"}, name


async def test_what_runs_in_a_shared_shell_asks_aegis_as_who_had_it_run(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel)
        agent = kernel.roster.caller(await stage.agent("full"))
        ours = Path(sys.executable).with_name("aegis")
        await stage.call("term spawn", name="shared", shell="/bin/sh")
        for by, whose in ((agent, "agent:full-one"), (agent.through("workflow"), "agent:full-one"), (ANNA, "human:")):
            said = await stage.call(
                "term run", by, name="shared", cmd=f"{ours} meta; {ours} approvals list; {ours} wake x"
            )
            assert f"You are {whose}" in said.stdout
            for verb in ("approvals list", "wake"):
                assert (f"may not use '{verb}'" in said.stdout) == (whose != "human:"), said.stdout
