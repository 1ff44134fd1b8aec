"""Three real CLIs in one house: Claude hands to Gemini, Gemini to OpenCode, OpenCode back to Claude."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model, tool_use
from stage import scrubbed

import aegis_acp.plugin
import aegis_approvals.plugin
import aegis_claude.plugin
import aegis_cli.plugin
import aegis_gemini.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
import aegis_opencode.plugin
from aegis import Caller, open_kernel
from aegis.events import PermissionAsked, TurnEnded

AEGIS = Path(sys.executable).with_name("aegis")
ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "approvals": aegis_approvals.plugin,
    "claude": aegis_claude.plugin,
    "cli": aegis_cli.plugin,
    "gemini": aegis_gemini.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
    "opencode": aegis_opencode.plugin,
}


async def shell(project: Path, home: Path, *words: str) -> str:
    """Return what `aegis` says to a person who types it in the project."""
    environment = {"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8"}
    done = await trio.run_process([str(AEGIS), *words], cwd=project, env=environment, capture_stdout=True)
    return done.stdout.decode()


async def allow(project: Path, home: Path) -> None:
    """Allow the one request that is open, from the shell."""
    while not (waiting := json.loads(await shell(project, home, "approvals", "list", "--json"))["value"]):
        pass  # it was asked for, and is written down next
    [request] = waiting
    await shell(project, home, "approvals", "allow", request["id"])


def handoff(tool: str, to: str, words: str) -> dict[str, Any]:
    return tool_use(tool, target_handle=to, context=words)


@pytest.mark.ability("hand-over")
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_work_goes_round_three_providers_and_one_approval_is_answered(
    tmp_path: Path, claude: str, gemini: str, opencode: str, model: Model
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    agents = {
        "claude": {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "read"},
        "gemini": {"provider": "gemini", "command": [gemini], "model": "gemini-2.5-pro", "permission": "auto"},
        "opencode": {"provider": "opencode", "command": [opencode], "model": "probe/scripted", "permission": "auto"},
    }
    (project / ".aegis.yaml").write_text(json.dumps({"agents": agents}))
    model.follow(
        {"when": "please begin", "say": [handoff("mcp__aegis__aegis_handoff", "gina", "carry it to otto")]},
        {"when": "carry it to otto", "say": [tool_use("write_file", file_path="note.txt", content="seen by gina")]},
        {"on": "tool_result", "when": "note.txt", "say": [handoff("mcp_aegis_aegis_handoff", "otto", "bring it home")]},
        {"when": "bring it home", "say": [handoff("aegis_aegis_handoff", "clara", "the word is plinth")]},
        {"when": "the word is plinth", "say": "home again: plinth"},
        {"on": "tool_result", "say": "sent"},
    )
    environment = gemini_environment(home, model) | opencode_environment(home, model) | scrubbed(home, model)
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with kernel.bus.subscribe() as news, trio.fail_after(150):
            for profile, handle in (("claude", "clara"), ("gemini", "gina"), ("opencode", "otto")):
                await kernel.verbs.call(ANNA, "spawn", {"agent": profile, "handle": handle})
            await kernel.verbs.call(ANNA, "handoff", {"target_handle": "clara", "context": "please begin"})
            replies: list[tuple[str, str, str]] = []
            async for batches in news:
                for batch in batches:
                    agent = kernel.roster.get(batch.agent_id)
                    handle = agent.handle if agent else ""
                    replies += [(handle, e.outcome, e.reply) for e in batch.events if type(e) is TurnEnded]
                    for event in batch.events:
                        if type(event) is PermissionAsked:
                            assert (handle, event.kind) == ("gina", "edit")
                            await allow(project, home)
                if len(replies) == 4:
                    break
    assert sorted(replies) == [
        ("clara", "completed", "home again: plinth"),
        ("clara", "completed", "sent"),
        ("gina", "completed", "sent"),
        ("otto", "completed", "sent"),
    ]
    assert (project / "note.txt").read_text() == "seen by gina"
