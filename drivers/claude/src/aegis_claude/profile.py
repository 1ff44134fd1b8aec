"""The keys of a Claude Code profile, and what they are on its command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aegis import Command, McpServer, Profile, Seat
from aegis_permission.governing import GOVERNING

_MODES = {"read": "plan", "write": "default", "full": "default", "auto": "default"}
# What aegis keeps there is for no agent. Where a person's own settings allow edits beforehand, these are asked even so.
_STATE = [f"{tool}(//**/.aegis/state{end})" for tool in ("Read", "Edit") for end in ("", "/**")]
_ASKED = [f"Edit(//**/{name}{end})" for name in sorted(GOVERNING) for end in ("", "/**")]
OWN_VARIABLES = (
    "ANTHROPIC_*", "CLAUDE*", "DISABLE_*", "ENABLE_TOOL_SEARCH", "IS_SANDBOX", "API_TIMEOUT_MS", "MCP_*TIMEOUT",
    "MAX_*TOKENS", "BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_*", "CLOUD_ML_REGION", "VERTEX_REGION_*",
)  # fmt: skip
_QUIET = (
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING",
    "DISABLE_FEEDBACK_COMMAND",
)  # fmt: skip
_OWN = ("CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "CLAUDE_CODE_OAUTH_")  # of the account, not of a session


class ClaudeProfile(Profile):
    """A profile with `provider: claude-code`."""

    provider: Literal["claude-code", "claude"] = Field("claude-code", description="which driver runs it")
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(None, description="how hard it thinks")
    command: list[str] = Field(["claude"], min_length=1, description="how Claude Code is started here")
    args: list[str] = Field(default_factory=list, description="further arguments for it")
    background: bool = Field(
        False, description="let its sub-agents and shell commands go on after the turn that started them"
    )


def command(seat: Seat) -> Command:
    """Return how the seat's CLI is started; its servers, with their secrets, are in a file only the user can read."""
    profile = seat.profile
    assert isinstance(profile, ClaudeProfile)
    servers = _servers_file(seat.folder, seat.servers)
    argv = [
        *profile.command, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
        "--permission-prompt-tool", "stdio", "--permission-mode", _MODES[profile.permission],
        "--disallowedTools", "AskUserQuestion",  # nobody sits at this CLI; a question belongs into the reply
        "--allowedTools", "mcp__aegis",
        "--mcp-config", str(servers), "--strict-mcp-config",
    ]  # fmt: skip
    asked = _ASKED if profile.permission in ("write", "auto") else []
    argv += ["--settings", json.dumps({"permissions": {"deny": _STATE, "ask": asked}})]
    argv += ["--model", profile.model] if profile.model else []
    argv += ["--effort", profile.effort] if profile.effort else []
    argv += ["--append-system-prompt", "\n\n".join(seat.primer)] if seat.primer else []
    argv += ["--resume", seat.resume] if seat.resume else []
    return Command([*argv, *profile.args], environment(seat, profile), seat.cwd)


def environment(seat: Seat, profile: ClaudeProfile) -> dict[str, str]:
    """Return the CLI's variables: the seat's, those of a Claude session around us left out, and our own settings."""
    around = _of_a_session(seat.env) - profile.env.keys()
    inherited = {name: value for name, value in seat.env.items() if name not in around}
    ours = {
        "CLAUDE_CODE_TMPDIR": str(seat.folder),  # else its sockets and folders stay behind in the temp folder
        "ENABLE_TOOL_SEARCH": "false",  # else the model is told of no tool of the plane until it searches
        "DISABLE_AUTOUPDATER": "1",  # twenty agents must not update the CLI at once
    }
    ours |= dict.fromkeys(_QUIET, "1") if profile.quiet else {}
    if not profile.background:
        ours["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] = "1"  # else a turn ends before its sub-agents have answered
    return inherited | {name: value for name, value in ours.items() if name not in profile.env}


def _of_a_session(env: Mapping[str, str]) -> set[str]:
    if "CLAUDECODE" not in env:  # what a person exported is meant
        return set()
    return {"CLAUDECODE"} | {n for n in env if n.startswith("CLAUDE_CODE_") and not n.startswith(_OWN)}


def _servers_file(folder: Path, servers: list[McpServer]) -> Path:
    path = folder / "mcp.json"
    entries: dict[str, Any] = {
        s.name: {"type": "http", "url": s.url, "headers": dict(s.headers), "alwaysLoad": True} for s in servers
    }
    path.unlink(missing_ok=True)  # an older one could have been made readable
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
        file.write(json.dumps({"mcpServers": entries}).encode())
    return path
