"""The workspace of the last time: each real CLI is resumed in its own way, and one that cannot be reads its record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model
from stage import scrubbed

import aegis_acp.plugin
import aegis_claude.plugin
import aegis_gemini.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
import aegis_opencode.plugin
import aegis_records.plugin
from aegis import Caller, Kernel, open_kernel

ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "claude": aegis_claude.plugin,
    "gemini": aegis_gemini.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
    "opencode": aegis_opencode.plugin,
    "records": aegis_records.plugin,
}
HANDLES = {"claude": "clara", "gemini": "gina", "opencode": "otto"}


async def said(kernel: Kernel, handle: str, text: str) -> str:
    reply: str = await kernel.verbs.call(ANNA, "send", {"handle": handle, "text": text, "wait": True})
    return reply


async def reopened(kernel: Kernel) -> dict[str, str]:
    return {row.handle: row.outcome for row in await kernel.verbs.call(ANNA, "reopen")}


@pytest.mark.ability("reopen")
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_every_cli_goes_on_where_it_was_and_one_without_its_files_reads_the_record(
    tmp_path: Path, claude: str, gemini: str, opencode: str, model: Model
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    agents = {
        "claude": {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5"},
        "gemini": {"provider": "gemini", "command": [gemini], "model": "gemini-2.5-pro"},
        "opencode": {"provider": "opencode", "command": [opencode], "model": "probe/scripted"},
    }
    (project / ".aegis.yaml").write_text(json.dumps({"agents": agents}))
    model.follow(
        {"when": "which word", "say": "before: {before}; now: {user}"},
        {"when": "the word is", "say": "noted"},
    )
    environment = gemini_environment(home, model) | opencode_environment(home, model) | scrubbed(home, model)
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with trio.fail_after(90):
            for profile, handle in HANDLES.items():
                await kernel.verbs.call(ANNA, "spawn", {"agent": profile, "handle": handle})
                await said(kernel, handle, f"the word is plinth-{handle}")
        before = kernel.roster.snapshot()
        with trio.fail_after(60):  # Gemini writes its conversation down a while after the end of a turn
            while not any("plinth-gina" in f.read_text() for f in (home / ".gemini").rglob("session-*.json*")):
                await trio.lowlevel.checkpoint()
    shutil.rmtree(home / ".claude" / "projects")  # where Claude Code keeps its conversations
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with trio.fail_after(140):  # Gemini may not be resumed in the minute of its start
            assert await reopened(kernel) == {
                "clara": "restarted with transcript", "gina": "resumed", "otto": "resumed",
            }  # fmt: skip
            after = kernel.roster.snapshot()
            assert [(f["handle"], f["turns"]) for f in after] == [(f["handle"], f["turns"]) for f in before]
            assert [f["session_id"] for f in after][1:] == [f["session_id"] for f in before][1:]
            for handle in HANDLES.values():
                assert f"plinth-{handle}" in await said(kernel, handle, "which word")
