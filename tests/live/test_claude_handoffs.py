"""Two real Claude Codes in one house: what one hands over through the plane becomes the other's turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from model_server import Model, tool_use
from stage import scrubbed

import aegis_claude.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
from aegis import Caller, open_kernel
from aegis.events import TurnEnded

ANNA = Caller("human", "anna")


def handoff(to: str, words: str) -> dict[str, Any]:
    return tool_use("mcp__aegis__aegis_handoff", target_handle=to, context=words)


@pytest.mark.ability("hand-over")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_a_question_goes_from_one_agent_to_the_other_and_back(tmp_path: Path, claude: str, model: Model) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    worker = f"{{provider: claude-code, command: [{claude}], model: claude-sonnet-4-5, permission: read}}"
    (project / ".aegis.yaml").write_text(f"agents:\n  worker: {worker}\n")
    model.follow(
        {"when": "please ask bob", "say": [handoff("bob", "which word?")]},
        {"when": "which word", "say": [handoff("alice", "the word is plinth")]},
        {"when": "the word is plinth", "say": "bob says plinth"},
        {"on": "tool_result", "say": "sent"},
    )
    plugins = {"claude": aegis_claude.plugin, "inbox": aegis_inbox.plugin, "mcp": aegis_mcp.plugin}
    async with open_kernel(project, plugins=plugins, environment=scrubbed(home, model)) as kernel:
        with kernel.bus.subscribe() as news, trio.fail_after(60):
            for handle in ("alice", "bob"):
                await kernel.verbs.call(ANNA, "spawn", {"agent": "worker", "handle": handle})
            await kernel.verbs.call(ANNA, "handoff", {"target_handle": "alice", "context": "please ask bob"})
            replies: list[tuple[str, str, str]] = []
            async for batches in news:
                for batch in batches:
                    agent = kernel.roster.get(batch.agent_id)
                    ends = [event for event in batch.events if type(event) is TurnEnded]
                    replies += [(agent.handle, end.outcome, end.reply) for end in ends if agent]
                if len(replies) == 3:
                    break
    assert sorted(replies) == [
        ("alice", "completed", "bob says plinth"),
        ("alice", "completed", "sent"),
        ("bob", "completed", "sent"),
    ]
    heard = [str(request["messages"]) for request in model.requests()]
    assert any("> from agent:alice" in said for said in heard) and any("> from agent:bob" in said for said in heard)
    system = str(model.requests()[0]["system"])
    assert "alice" in system
