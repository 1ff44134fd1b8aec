"""The recipes of docs/how-to/more-agents.md, read from the page, and where their agents play.

Every agent belongs to somebody careless, whose own settings allow everything beforehand, at home and in the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import ROOT, installed
from model_server import Block, Model, tool_use
from ruamel.yaml import YAML
from stage import scrubbed

PAGE = ROOT / "docs" / "how-to" / "more-agents.md"
ANNA = "/home/anna"  # whose home it is on the page
_FENCE = re.compile(r"^```(?P<language>\w+) *(?P<path>\S*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def profiles() -> dict[str, dict[str, Any]]:
    """Return the agents of every configuration on the page, by their names."""
    configs = [YAML(typ="safe").load(found["body"]) for found in _fenced("yaml")]
    return {name: keys for config in configs for name, keys in config["agents"].items()}


def files() -> dict[str, str]:
    """Return the files that the page has beside the configuration, by their paths in the project."""
    return {found["path"]: found["body"] for found in _fenced("json") if found["path"]}


def _fenced(language: str) -> list[re.Match[str]]:
    return [found for found in _FENCE.finditer(PAGE.read_text()) if found["language"] == language]


@dataclass(frozen=True)
class Recipe:
    """One recipe, how the model calls its agent's tools, and what finds the scripted model in a careless home."""

    agent: str
    edit: Callable[[Path, str], Block]  # a file of the folder
    run: Callable[[str], Block]
    verb: str  # how it names the tools of the plane
    surroundings: Callable[[Path, Path, Model], Mapping[str, str]]  # of home and folder; returns the environment
    free: Callable[[str], Block] | None = None  # runs a command where nothing is asked, if that is another call

    def call(self, verb: str, **given: Any) -> Block:
        """Return how the model uses a tool of the plane."""
        return tool_use(self.verb + verb, **given)

    def keys(self, home: Path) -> dict[str, Any]:
        """Return the profile as it stands on the page, of the agent that is installed here and of this home."""
        keys = profiles()[self.agent]
        env = {name: value.replace(ANNA, str(home)) for name, value in keys.get("env", {}).items()}
        return keys | {"command": [installed(keys["command"][0]), *keys["command"][1:]], "env": env}

    def environment(self, home: Path, folder: Path, model: Model) -> dict[str, str]:
        """Return a whole environment for the agent; the page's files are in the folder then."""
        for path, body in files().items():
            written(folder / path, body)
        home.mkdir(exist_ok=True)
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8"}
        return plain | dict(self.surroundings(home, folder, model)) | self.keys(home)["env"]


def written(path: Path, body: str) -> None:
    """Write a file, whose folder need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)


def _codex(home: Path, folder: Path, model: Model) -> dict[str, str]:
    free = 'approval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
    provider = f'{{name = "Probe", base_url = "{model.url}/v1", wire_api = "responses", env_key = "PROBE_KEY"}}'
    config = f'model = "gpt-5.4"\nmodel_provider = "probe"\n{free}\n[model_providers]\nprobe = {provider}\n'
    trust = f'[projects."{folder}"]\ntrust_level = "untrusted"\n\n[analytics]\nenabled = false\n'
    written(home / ".codex" / "config.toml", config + trust)
    written(home / ".codex" / "rules" / "default.rules", 'prefix_rule(pattern = ["touch"], decision = "allow")\n')
    written(home / ".codex-aegis" / "config.toml", config + trust)
    return {"PROBE_KEY": "dummy"}


def _claude(home: Path, folder: Path, model: Model) -> dict[str, str]:
    everything = {"allow": ["Bash", "Edit", "Write", "NotebookEdit"], "defaultMode": "acceptEdits"}
    for place in (home / ".claude" / "settings.json", folder / ".claude" / "settings.local.json"):
        written(place, json.dumps({"permissions": everything}))
    return scrubbed(home, model) | {"ANTHROPIC_MODEL": "claude-sonnet-4-5"}


def _qwen(home: Path, folder: Path, model: Model) -> dict[str, str]:
    everything = {"allow": ["Bash", "Edit", "edit", "write_file", "run_shell_command"]}
    free = {"$version": 3, "permissions": everything, "tools": {"approvalMode": "yolo"}}
    quiet = {"general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False}}
    account = {"security": {"auth": {"selectedType": "openai"}}, "model": {"name": "scripted"}}
    written(home / ".qwen" / "settings.json", json.dumps(free | quiet | account))
    written(folder / ".qwen" / "settings.json", json.dumps(free))
    return {"OPENAI_API_KEY": "dummy", "OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_MODEL": "scripted"}


def _patch(path: Path, words: str) -> Block:
    return tool_use("apply_patch", words=f"*** Begin Patch\n*** Add File: {path}\n+{words}\n*** End Patch\n")


CODEX = Recipe(
    "codex",
    edit=_patch,
    run=lambda words: tool_use("exec_command", cmd=words, sandbox_permissions="require_escalated", justification="?"),
    verb="mcp__aegis.",
    surroundings=_codex,
    free=lambda words: tool_use("exec_command", cmd=words),
)
CLAUDE = Recipe(
    "claude-agent",
    edit=lambda path, words: tool_use("Write", file_path=str(path), content=words),
    run=lambda words: tool_use("Bash", command=words, description=""),
    verb="mcp__aegis__",
    surroundings=_claude,
)
QWEN = Recipe(
    "qwen",
    edit=lambda path, words: tool_use("write_file", file_path=str(path), content=words),
    run=lambda words: tool_use("run_shell_command", command=words, description="", is_background=False),
    verb="mcp__aegis__",
    surroundings=_qwen,
)
RECIPES = {recipe.agent: recipe for recipe in (CODEX, CLAUDE, QWEN)}
