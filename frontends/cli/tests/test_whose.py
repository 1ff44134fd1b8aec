"""What an agent's processes ask of the control socket is that agent's, and recorded as that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

import aegis_approvals.plugin
import aegis_inbox.plugin
from aegis import Decision, PermissionRequest
from aegis.events import Notice
from aegis_cli import plugin as cli
from aegis_cli.socket_path import socket_of
from aegis_processes.ancestry import Gone, origins
from aegis_processes.processes import FOR, MARK, Command, running

ASK = """
import sys
from pathlib import Path
from aegis import AegisError
from aegis.project import Project
from aegis_cli.blocking_client import BlockingClient
try:
    with BlockingClient(Project(Path(sys.argv[1]))) as client:
        if sys.argv[2] in ("quit", "watch", "verbs"):
            answer = client._request(sys.argv[2], {}, None, print)
            print([v["name"] for v in answer] if sys.argv[2] == "verbs" else answer)
        else:
            args = dict(word.split("=") for word in sys.argv[3:])
            print(*client.perform(sys.argv[2], args, lambda said: None))
except AegisError as error:
    print("refused:", error)
"""


@pytest.fixture
def plugins(project):
    from aegis.testing.echo import EchoPlugin  # noqa: PLC0415

    (project / ".aegis.yaml").write_text("agents:\n  full: {provider: echo, permission: full}\n")
    return {
        "cli": cli, "echo": EchoPlugin(), "inbox": aegis_inbox.plugin, "approvals": aegis_approvals.plugin
    }  # fmt: skip


async def said(kernel, *words: str, before: tuple[str, ...] = (), **variables: str) -> str:
    """Return what a process of its own is told that asks with these words."""
    argv = [*before, sys.executable, "-c", ASK, str(kernel.project.root), *words]
    environment = {**{k: v for k, v in os.environ.items() if k != MARK}, **variables}
    done = await trio.run_process(
        argv, capture_stdout=True, stderr=subprocess.STDOUT, env=environment, check=False
    )  # fmt: skip
    return done.stdout.decode()


async def test_a_person_is_the_person(kernel):
    assert "human:" in await said(kernel, "meta")
    assert "approvals allow" in await said(kernel, "verbs")


async def test_an_agents_question_is_not_answered_by_its_own_process(kernel):
    """The request stays open for people, and who tried is told to those who watch."""
    agent = await kernel.roster.spawn("full", "eve")
    got: list[Decision] = []
    with kernel.bus.subscribe() as news:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                got.append(await agent.seat.ask(PermissionRequest("1", "Bash", "execute", "rm", {}, verb="x")))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.02)
            [number] = kernel.verbs.completions("approval")
            for words in (["approvals allow"], ["approvals deny"], ["approvals show"]):
                answer = await said(kernel, *words, f"request={number}", **{MARK: agent.id})
                assert "refused: agent:eve may not use" in answer, answer
            assert "refused" in await said(kernel, "approvals list", **{MARK: agent.id})
            shell = ("/bin/sh", "-c", '"$@" & wait', "sh", "setsid", "sh", "-c", 'exec "$@"', "sh")
            deep = await said(kernel, "approvals allow", f"request={number}", before=shell, **{MARK: agent.id})
            assert "refused: agent:eve may not use" in deep
            assert kernel.verbs.completions("approval") == [number] and got == []
            assert "allowed" in await said(kernel, "approvals allow", f"request={number}")
    [decision] = got
    assert decision.allowed and "by human:" in decision.reason
    tried = [e.text for b in news.take() for e in b.events if isinstance(e, Notice) and b.agent_id == agent.id]
    assert len(tried) == 5 and all("agent:eve" in text and "refused at the control socket" in text for text in tried)


async def test_a_process_that_acts_for_an_agent_of_another_machine_may_do_nothing(kernel):
    assert "refused" in await said(kernel, "sessions", **{FOR: "peer:ann@mars"})
    assert "refused" in await said(kernel, "quit", **{FOR: "peer:ann@mars"})


async def test_on_every_verb_and_method_it_is_the_agent(kernel):
    agent = await kernel.roster.spawn("full", "eve")
    mark = {MARK: agent.id}
    assert "You are agent:eve" in await said(kernel, "meta", **mark)
    verbs = await said(kernel, "verbs", **mark)
    assert "'handoff'" in verbs and "'approvals allow'" not in verbs and "'send'" not in verbs
    assert "agent:eve may not end aegis: that is for people" in await said(kernel, "quit", **mark)
    assert "agent:eve may not follow what everybody does" in await said(kernel, "watch", **mark)
    assert not kernel.quit.is_set()
    other = await kernel.roster.spawn("full", "other")
    assert "other is neither" in await said(kernel, "close", "handle=other", **mark)
    await kernel.roster.rename(agent, "eva")
    assert "You are agent:eva" in await said(kernel, "meta", **mark)
    await kernel.roster.close(agent)
    assert "refused: agent:eva may not use 'sessions'" in await said(kernel, "sessions", **mark)
    assert kernel.roster.get(other.id)


async def test_a_mark_of_another_aegis_says_nothing_here(kernel):
    assert "human:" in await said(kernel, "meta", **{MARK: "01NOBODY"})


async def test_a_command_that_was_started_for_an_agent_is_known_without_its_environment(kernel, tmp_path):
    agent = await kernel.roster.spawn("full", "eve")
    ask = ["env", "-u", MARK, sys.executable, "-c", ASK, str(kernel.project.root), "meta"]
    loop = Command(["/bin/sh", "-c", '"$@"; exit 0', "sh", *ask], {**os.environ, MARK: agent.id}, tmp_path)
    async with trio.open_nursery() as nursery, running(loop, nursery) as process:
        assert b"You are agent:eve" in (await process.lines())[0]


async def test_who_has_gone_is_nobody(kernel):
    gone = await trio.run_process(["true"], capture_stdout=True)
    child = await trio.lowlevel.open_process(["true"])
    await child.wait()
    assert gone.returncode == 0
    with pytest.raises(Gone):
        origins(child.pid)
    assert origins(0) == [] and origins(os.getpid()) == []
    # it asks and is gone before anybody has looked: nothing is done in its name
    crossing = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        's.sendall(b\'{"jsonrpc": "2.0", "id": 1, "method": "quit"}\\n\'); os._exit(0)\n'
    )
    for _ in range(3):
        # It has ended before the kernel, which is in this process, can look.
        subprocess.run([sys.executable, "-c", crossing, str(socket_of(kernel.project))], check=True)  # noqa: ASYNC221
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not kernel.quit.is_set()
