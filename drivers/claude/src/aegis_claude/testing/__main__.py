"""A fake `claude`: `python -m aegis_claude.testing --script FILE …` behaves as the real one does.

It takes Claude Code's flags, keeps its conversations in HOME, calls the MCP servers it is told of, and follows a script
(`aegis.testing.script`) in place of a model. What it does on the wire was seen of the real one, release 2.1.329.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from aegis.testing.script import rules_of
from aegis_claude.testing.agent import StreamJson

VERSION = "2.1.329"
MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "manual", "plan")


class Flags(argparse.ArgumentParser):
    """Claude Code's flags; a wrong one ends it with exit code 1, as there."""

    def __init__(self) -> None:
        super().__init__(prog="claude", add_help=False, allow_abbrev=False)
        for name in (
            "verbose",
            "strict-mcp-config",
            "include-partial-messages",
            "replay-user-messages",
            "fork-session",
        ):
            self.add_argument(f"--{name}", action="store_true")
        for name in (
            "model", "session-id", "resume", "effort", "append-system-prompt", "setting-sources", "settings", "script"
        ):  # fmt: skip
            self.add_argument(f"--{name}", default="")
        self.add_argument("-p", "--print", action="store_true")
        self.add_argument("-v", "--version", action="store_true")
        self.add_argument("--input-format", choices=("text", "stream-json"), default="text")
        self.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
        self.add_argument("--permission-prompt-tool", default="")
        self.add_argument("--permission-mode", choices=MODES, default="default")
        self.add_argument("--mcp-config", nargs="+", default=[])
        self.add_argument("--allowedTools", "--allowed-tools", nargs="+", default=[])
        self.add_argument("--disallowedTools", "--disallowed-tools", nargs="+", default=[])

    def error(self, message: str) -> NoReturn:
        """End with the sentence."""
        sys.exit(f"error: {message}")


def servers(sources: Sequence[str]) -> dict[str, tuple[str, dict[str, str]]]:
    """Return url and headers of every server in these files or JSON texts; those that are no HTTP servers are left."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for source in sources:
        text = source if source.lstrip().startswith("{") else Path(source).read_text(encoding="utf-8")
        for name, entry in json.loads(text)["mcpServers"].items():
            if entry.get("type") in ("http", "sse"):
                found[name] = entry["url"], entry.get("headers", {})
    return found


def main(argv: Sequence[str]) -> None:
    """Be the CLI."""
    flags = Flags().parse_args(argv)
    if flags.version:
        print(f"{VERSION} (Claude Code)")
        return
    if flags.input_format != "stream-json" or flags.output_format != "stream-json" or not flags.print:
        sys.exit("Error: this fake only has -p --input-format stream-json --output-format stream-json")
    if not flags.verbose:
        sys.exit("Error: When using --print, --output-format=stream-json requires --verbose")
    if flags.permission_mode == "bypassPermissions" and os.getuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        sys.exit("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons")
    rules = rules_of(flags.script)
    try:
        told = servers(flags.mcp_config)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"Error: Invalid MCP configuration: {error}")
    agent = StreamJson(rules, flags, VERSION)

    def terminated(number: int, frame: Any) -> None:
        if agent.shells:
            agent.shells.end()
        os._exit(143)

    def stopped(number: int, frame: Any) -> None:
        agent.interrupted, agent.exit_code = True, 0
        if not agent.busy:
            os._exit(0)

    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGINT, stopped)
    agent.meet(told)
    code = agent.run()
    if agent.shells:
        agent.shells.wait()  # what runs in the background keeps it alive
    sys.exit(code or agent.failures)


main(sys.argv[1:])
