"""A shared terminal with real CLIs: OpenCode runs a command in it, and Claude, who subscribed, is woken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio
from acp_stage import opencode_environment
from model_server import Model, tool_use
from stage import scrubbed

import aegis_acp.plugin
import aegis_claude.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
import aegis_opencode.plugin
import aegis_terminal.plugin
from aegis import Caller, open_kernel
from aegis.events import TurnEnded

ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "claude": aegis_claude.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
    "opencode": aegis_opencode.plugin,
    "terminal": aegis_terminal.plugin,
}


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_opencode_runs_a_command_and_claude_is_woken_with_its_end(
    tmp_path: Path, claude: str, opencode: str, model: Model
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    agents = {
        "claude": {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "full"},
        "opencode": {"provider": "opencode", "command": [opencode], "model": "probe/scripted", "permission": "full"},
    }
    (project / ".aegis.yaml").write_text(json.dumps({"agents": agents, "plugins": {"mcp": {"ticket_after": 3}}}))
    command = "printf 'checking\\n%s failed\\n' 3; (exit 7)"
    long = "sleep 5; echo late result"
    model.follow(
        {"when": "watch the terminal", "say": [tool_use("mcp__aegis__aegis_term_subscribe", name="build")]},
        {"when": "please check", "say": [tool_use("aegis_aegis_term_run", name="build", cmd=command)]},
        {"when": "take your time", "say": [tool_use("aegis_aegis_term_run", name="build", cmd=long)]},
        {"on": "tool_result", "when": "3 failed", "say": "I saw it fail"},
        {"on": "tool_result", "when": "goes on as ticket", "say": "I go on"},
        {"on": "tool_result", "say": "done"},
        {"when": r"exit 7 · [\d.]+s\n  ──\n  checking\n  3 failed", "say": "woken by a failure"},
        {"when": r"task#\w+ · ok[\s\S]*late result", "say": "here it is"},
        {"when": "late result", "say": "woken again"},
    )
    environment = opencode_environment(home, model) | scrubbed(home, model)
    replies: list[tuple[str, str]] = []
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with kernel.bus.subscribe() as news, trio.fail_after(100):

            async def until(*wanted: tuple[str, str]) -> None:
                while not set(wanted) <= set(replies):
                    for batch in await anext(news):
                        agent = kernel.roster.get(batch.agent_id)
                        ends = [event for event in batch.events if type(event) is TurnEnded]
                        replies.extend((agent.handle, end.reply) for end in ends if agent)

            async def say(handle: str, words: str) -> None:
                await kernel.verbs.call(ANNA, "handoff", {"target_handle": handle, "context": words})

            await kernel.verbs.call(ANNA, "term spawn", {"name": "build", "shell": "bash"})
            for profile, handle in (("claude", "clara"), ("opencode", "otto")):
                await kernel.verbs.call(ANNA, "spawn", {"agent": profile, "handle": handle})
            await say("clara", "watch the terminal")
            await until(("clara", "done"))
            await say("otto", "please check")
            await until(("otto", "I saw it fail"), ("clara", "woken by a failure"))
            await say("otto", "take your time")
            await until(("otto", "I go on"), ("otto", "here it is"), ("clara", "woken again"))
        checked, late = await kernel.verbs.call(ANNA, "term read", {"name": "build"})
    assert (checked.writer, checked.exit, checked.stdout) == ("agent:otto", 7, "checking\n3 failed\n")
    assert (late.writer, late.exit, late.stdout) == ("agent:otto", 0, "late result\n")
    heard = "\n".join(str(request.get("messages")) for request in model.requests())
    assert re.search(r"> from term:build · \S+Z", heard)
    assert "run by agent:otto" in heard
