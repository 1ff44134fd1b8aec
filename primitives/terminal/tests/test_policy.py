"""Who may run what: rules of the project, the permission of the agent, and a person who is asked."""

from __future__ import annotations

import pytest
import trio
from terminal_stage import ANNA, Stage

import aegis_approvals.plugin
import aegis_terminal.plugin
from aegis import Refused
from aegis_terminal.policy import covers
from aegis_terminal.settings import Rule

RULES = [
    {"match": "git status*", "answer": "allow"},
    {"match": "*git push*", "answer": "ask"},
    {"match": "*rm -rf*", "answer": "deny"},
]


@pytest.fixture
def config():
    return {"policy": RULES}


@pytest.fixture
def plugins(echo):
    return {"echo": echo, "terminal": aegis_terminal.plugin, "approvals": aegis_approvals.plugin}


@pytest.fixture
async def build(stage: Stage) -> Stage:
    await stage.spawn()
    return stage


async def asked(stage: Stage):
    """Return the one request that is open, once it is."""
    with trio.fail_after(10):
        while not (rows := await stage.kernel.verbs.call(ANNA, "approvals list")):
            await trio.testing.wait_all_tasks_blocked(0.01)
    [row] = rows
    return row


async def answered(stage: Stage, cmd: str, agent, answer: str):
    """Return the run, or the sentence of the refusal, and what the person read."""
    ended: list[object] = []

    async def run() -> None:
        try:
            ended.append(await stage.run(cmd, agent))
        except Refused as refusal:
            ended.append(str(refusal))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        row = await asked(stage)
        await stage.kernel.verbs.call(ANNA, f"approvals {answer}", {"request": row.id})
    return ended[0], row


async def test_what_is_denied_is_refused_to_everybody(build: Stage):
    for who in (ANNA, await build.agent("eve", "full")):
        with pytest.raises(Refused, match=r"policy of this project refuses '\*rm -rf\*'"):
            await build.run("cd / && rm -rf x", who)
    assert await build.call("read", name="build") == []


async def test_an_agent_that_must_ask_asks_a_person(build: Stage):
    eve = await build.agent("eve", "auto")
    run, row = await answered(build, "echo hello", eve, "allow")
    assert (run.stdout, run.writer) == ("hello\n", "agent:eve")
    assert "echo hello" in str(row)
    refusal, _ = await answered(build, "echo again", eve, "deny")
    assert refusal.startswith("aegis_term_run was denied")
    assert len(await build.call("read", name="build")) == 1


async def test_what_a_person_is_asked_holds_no_secret(build: Stage):
    token = "ghp_" + "a1B2c3D4" * 5
    _, row = await answered(build, f"echo {token}", await build.agent("eve", "auto"), "deny")
    assert "echo [redacted]" in str(row)
    assert token not in str(row)


async def test_what_is_to_be_asked_about_is_asked_of_one_that_may_do_everything(build: Stage):
    run, _ = await answered(build, "echo git push", await build.agent("eve", "full"), "allow")
    assert run.exit == 0
    assert (await build.run("echo git push")).exit == 0, "a person is not asked about what they do themselves"


async def test_what_is_allowed_is_not_asked_about(build: Stage):
    eve = await build.agent("eve", "auto")
    assert (await build.run("git status --short || true", await build.agent("bob", "full"))).exit == 0
    assert (await build.run("git status", eve)).exit is not None
    for more in ("git status; id", "git status && id", "git status $(id)", "git status\nid", "git status | sh"):
        refusal, _ = await answered(build, more, eve, "deny")
        assert "denied" in refusal, more


async def test_a_reader_may_look_and_not_act(build: Stage):
    eve = await build.agent("eve", "read")
    await build.run("echo seen")
    assert (await build.call("read", eve, name="build"))[0].stdout == "seen\n"
    assert "seen" in await build.call("tail", eve, name="build")
    for verb, args in {
        "run": {"cmd": "git status"}, "keys": {"keys": "ctrl-c"}, "close": {}, "spawn": {"name": "mine"},
    }.items():  # fmt: skip
        with pytest.raises(Refused, match="has the permission read: it may list, read and follow terminals"):
            await build.call(verb, eve, **{"name": "build", **args})


async def test_keys_are_asked_about_like_commands(build: Stage):
    eve = await build.agent("eve", "full")  # but there are rules, and keys would go around them
    async with trio.open_nursery() as nursery:

        async def press() -> None:
            with pytest.raises(Refused, match="aegis_term_keys was denied"):
                await build.call("keys", eve, name="build", keys="rm -rf x\r")

        nursery.start_soon(press)
        row = await asked(build)
        await build.kernel.verbs.call(ANNA, "approvals deny", {"request": row.id})
    await build.call("keys", eve, name="build", keys="ctrl-c")


async def test_a_writer_opens_terminals_and_asks_for_other_shells(build: Stage):
    bob = await build.agent("bob", "write")
    await build.call("spawn", bob, name="mine")
    async with trio.open_nursery() as nursery:

        async def spawn() -> None:
            with pytest.raises(Refused, match="aegis_term_spawn was denied"):
                await build.call("spawn", bob, name="other", env={"PATH": "/tmp/evil", "API_TOKEN": "hunter2hunter2"})

        nursery.start_soon(spawn)
        row = await asked(build)
        assert "PATH=/tmp/evil" in str(row)
        assert "hunter2" not in str(row)
        await build.kernel.verbs.call(ANNA, "approvals deny", {"request": row.id})


def test_globs_are_quick_whatever_they_are():
    assert not covers(Rule(match="*a" * 30 + "b", answer="deny"), "a" * 50_000)
    assert covers(Rule(match="*rm*", answer="deny"), "echo\nrm x")
    assert not covers(Rule(match="ls *", answer="allow"), "ls -l > x")


@pytest.mark.parametrize("mode", ["write", "auto"])
async def test_what_is_not_the_agents_own_is_asked_about(build: Stage, mode: str, tmp_path):
    """A folder outside the project, another's terminal: closed, opened again, interrupted."""
    eve, bob = await build.agent("eve", mode), await build.agent("bob", "full")
    await build.call("spawn", bob, name="bobs")
    await build.call("spawn", bob, name="over")
    await build.call("close", bob, name="over")
    (build.kernel.project.root / "out").symlink_to(tmp_path)
    for verb, args in (
        ("spawn", {"name": "etc", "cwd": "/etc"}),
        ("spawn", {"name": "up", "cwd": ".."}),
        ("spawn", {"name": "link", "cwd": "out"}),
        ("spawn", {"name": "over"}),
        ("close", {"name": "build"}),
        ("close", {"name": "bobs"}),
        ("keys", {"name": "build", "keys": "ctrl-c"}),
        ("keys", {"name": "bobs", "keys": "ctrl-c"}),
    ):
        said: list[str] = []

        async def ask(verb: str = verb, args: dict[str, str] = args, said: list[str] = said) -> None:
            with pytest.raises(Refused, match="was denied") as refusal:
                await build.call(verb, eve, **args)
            said.append(str(refusal.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            row = await asked(build)
            await build.kernel.verbs.call(ANNA, "approvals deny", {"request": row.id})
        assert said, (verb, args)
    assert {row.name: row.state for row in await build.call("list")} == {
        "build": "idle",
        "bobs": "idle",
        "over": "closed",
    }


async def test_what_is_the_agents_own_is_not_asked_about(build: Stage):
    eve = await build.agent("eve", "write")
    (build.kernel.project.root / "sub").mkdir()
    await build.call("spawn", eve, name="mine", cwd="sub")
    await build.call("keys", eve, name="mine", keys="ctrl-c")
    await build.call("close", eve, name="mine")
    await build.call("spawn", eve, name="mine")
    await build.kernel.roster.rename(eve, "eva")
    await build.call("close", eve, name="mine")
    run_by_eve = eve
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await answered(build, "sleep 30", run_by_eve, "allow")

        nursery.start_soon(run)
        with trio.fail_after(20):
            while (await build.call("list"))[0].state != "busy":
                await trio.testing.wait_all_tasks_blocked(0.01)
        await build.call("keys", eve, name="build", keys="ctrl-c")
