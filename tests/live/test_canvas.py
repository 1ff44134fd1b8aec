"""Two real CLIs at one document: Gemini watches a canvas, and is woken when Claude writes a section of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment
from model_server import Model, tool_use
from stage import scrubbed

import aegis_acp.plugin
import aegis_canvas.plugin
import aegis_claude.plugin
import aegis_gemini.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
from aegis import Caller, open_kernel

ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "canvas": aegis_canvas.plugin,
    "claude": aegis_claude.plugin,
    "gemini": aegis_gemini.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
}


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_gemini_is_woken_by_a_section_that_claude_writes(
    tmp_path: Path, claude: str, gemini: str, model: Model
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    agents = {
        "claude": {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "write"},
        "gemini": {"provider": "gemini", "command": [gemini], "model": "gemini-2.5-pro", "permission": "write"},
    }
    (project / ".aegis.yaml").write_text(json.dumps({"agents": agents}))
    (project / "plan.md").write_text("# Plan\n\n## Goals\n\nTo be said.\n")
    goals = {"name": "plan", "section": "Goals", "content": "Ship plinth.", "version": 1}
    written = tool_use("mcp__aegis__aegis_canvas_write_section", **goals)
    model.follow(
        {"when": "please watch", "say": [tool_use("mcp_aegis_aegis_canvas_subscribe", name="plan")]},
        {"when": "please write", "say": [written]},
        {"when": "from canvas:plan", "say": "gina read: {user}"},
        {"on": "tool_result", "say": "it answered: {reply}"},
    )
    environment = gemini_environment(home, model) | scrubbed(home, model)
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with trio.fail_after(150):

            async def ask(handle: str, text: str) -> str:
                receipt = await kernel.verbs.call(ANNA, "handoff", {"target_handle": handle, "context": text})
                return (await kernel.post.wait_turn(receipt.id)).reply

            for profile, handle in (("claude", "clara"), ("gemini", "gina")):
                await kernel.verbs.call(ANNA, "spawn", {"agent": profile, "handle": handle})
            await kernel.verbs.call(ANNA, "canvas open", {"name": "plan", "file": "plan.md"})
            assert "gina" in await ask("gina", "please watch the plan")
            assert '"version":2' in (await ask("clara", "please write the goals")).replace(" ", "")
            woken = await of_canvas(kernel)
    assert woken.outcome == "completed"
    assert 'section "Goals"' in woken.reply
    assert "written by agent:clara (+1 / -1 lines)" in woken.reply
    assert (project / "plan.md").read_text() == "# Plan\n\n## Goals\n\nShip plinth.\n"


async def of_canvas(kernel: Any) -> Any:
    """Return how the turn ended that the canvas's letter began."""
    accepted = kernel.ledger.book("mail").newest("accepted", 10)
    [letter] = [record.key for record in accepted if record.data["sender"] == "canvas:plan"]
    return await kernel.post.wait_turn(letter)
