"""Gemini CLI: an ACP agent with a command line, an environment and a few habits of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from aegis import Command, DriverInfo, Profile, Seat
from aegis_acp.driver import AcpDriver
from aegis_gemini.profile import GeminiProfile

if TYPE_CHECKING:
    from pathlib import Path

    from aegis_acp import v1

_ENVIRONMENT = {
    "GEMINI_CLI_NO_RELAUNCH": "true",  # else a launcher swallows the signals, and doubles start-up time and memory
    "GEMINI_CLI_TRUST_WORKSPACE": "true",  # whoever starts an agent in a folder trusts that folder
    "NO_BROWSER": "1",  # nobody sits at this CLI to sign in
}
_QUIET = {"GEMINI_TELEMETRY_ENABLED": "false"}  # its settings have more, in a file of the person's or of root's alone
# The plane's verbs are governed by aegis. Edits are asked for even where the person's own settings allow them, so that
# an agent cannot change what governs it, and under `read` commands too: rules of this tier are stronger than theirs,
# and Gemini's own plan mode is weaker.
_PLANE = '[[rule]]\nmcpName = "aegis"\ntoolName = "*"\ndecision = "allow"\npriority = 999\n'
_ASK = '[[rule]]\ntoolName = {tools}\ndecision = "ask_user"\npriority = 998\n'
# What aegis keeps there is for no agent.
_STATE = '[[rule]]\ntoolName = {tools}\nargsPattern = "\\\\.aegis/+state"\ndecision = "deny"\npriority = 999\n'
_READS = ["read_file", "read_many_files", "list_directory", "glob", "search_file_content", "grep_search"]
_EDITS, _COMMANDS = ["write_file", "replace"], ["run_shell_command"]
_ASKED = {"read": _EDITS + _COMMANDS, "write": _EDITS, "auto": _EDITS, "full": []}


class GeminiDriver(AcpDriver):
    """The provider `gemini`."""

    name = "gemini"
    info = DriverInfo(
        aliases=("gemini-cli",),
        plane=("mcp_aegis_",),
        environment=("GEMINI_*", "GOOGLE_*"),
        calls_home=(
            "it sends statistics of its use to play.googleapis.com and looks for updates, unless your "
            '~/.gemini/settings.json has {"privacy": {"usageStatisticsEnabled": false}, "general": '
            '{"enableAutoUpdate": false}}; there is no other switch'
        ),
    )
    settings: type[Profile] = GeminiProfile
    proven = "0.61.0"
    install = "install Gemini CLI: npm install -g @google/gemini-cli"
    modes: ClassVar = {"read": "default", "write": "default", "full": "yolo", "auto": "default"}
    asks = True
    picks = False
    once_a_minute = True

    def given(self, said: v1.ToolCallUpdate, folder: Path) -> dict[str, Any] | None:
        """Return what a tool is given, from the words that Gemini CLI has for it instead of the protocol's field."""
        from aegis_acp.calls import explanation  # noqa: PLC0415 - the protocol's types take their time to load
        from aegis_gemini.words import given  # noqa: PLC0415 - only where there is an agent

        if said.status not in ("pending", "in_progress"):  # from then on its content is the result
            return None
        return given(said.kind or "", said.title or "", explanation(said), folder)

    def command(self, seat: Seat, profile: Any) -> Command:
        """Return how Gemini CLI is started in the seat."""
        policy = seat.folder / "policy.toml"
        asked = _ASKED[profile.permission]
        rules = _PLANE + _STATE.format(tools=json.dumps(_READS + _EDITS))
        rules += _ASK.format(tools=json.dumps(asked)) if asked else ""
        policy.write_text(rules, encoding="utf-8")
        argv = [*profile.command, "--acp", "--admin-policy", str(policy)]
        argv += ["--model", profile.model] if profile.model else []
        quiet = {name: value for name, value in _QUIET.items() if profile.quiet and name not in profile.env}
        return Command([*argv, *profile.args], _ENVIRONMENT | seat.env | quiet, seat.cwd)
