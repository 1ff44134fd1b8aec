"""How Gemini CLI is started, and what it is held to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from aegis import Seat
from aegis_gemini.driver import GeminiDriver
from aegis_gemini.profile import GeminiProfile


def seat(folder: Path, inherited: dict[str, str] | None = None, **keys: Any) -> Seat:
    unused: Any = None
    return Seat("01AGENT", "lucid-knuth", GeminiProfile(**keys), folder, folder, unused, unused, env=inherited or {})


def test_its_command_line_and_environment(tmp_path: Path) -> None:
    sat = seat(tmp_path, {"PATH": "/bin", "NO_BROWSER": "0"}, model="gemini-2.5-pro", args=["--debug"])
    command = GeminiDriver().command(sat, sat.profile)
    policy = str(tmp_path / "policy.toml")
    assert command.argv == ["gemini", "--acp", "--admin-policy", policy, "--model", "gemini-2.5-pro", "--debug"]
    assert command.env == {
        "PATH": "/bin",
        "NO_BROWSER": "0",  # what a person sets is meant
        "GEMINI_CLI_NO_RELAUNCH": "true",
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_TELEMETRY_ENABLED": "false",
    }


def test_it_is_quiet_unless_its_profile_says_otherwise(tmp_path: Path) -> None:
    loud = seat(tmp_path, quiet=False)
    assert GeminiDriver().command(loud, loud.profile).env.keys() == {
        "GEMINI_CLI_NO_RELAUNCH", "GEMINI_CLI_TRUST_WORKSPACE", "NO_BROWSER",
    }  # fmt: skip
    watched = seat(tmp_path, env={"GEMINI_TELEMETRY_ENABLED": "true"})
    watched.env = dict(watched.profile.env)
    assert GeminiDriver().command(watched, watched.profile).env["GEMINI_TELEMETRY_ENABLED"] == "true"


@pytest.mark.parametrize(
    ("permission", "asked"),
    [
        ("read", ["write_file", "replace", "run_shell_command"]),
        ("write", ["write_file", "replace"]),
        ("auto", ["write_file", "replace"]),
        ("full", []),
    ],
)
def test_its_policy_asks_nobody_for_verbs_and_for_each_edit(tmp_path: Path, permission: str, asked: list[str]) -> None:
    sat = seat(tmp_path, permission=permission)
    GeminiDriver().check(sat.profile)
    GeminiDriver().command(sat, sat.profile)
    rules = tomllib.loads((tmp_path / "policy.toml").read_text())["rule"]
    held = [tool for rule in rules if rule["decision"] == "ask_user" for tool in rule["toolName"]]
    assert [rule["mcpName"] for rule in rules if rule["decision"] == "allow"] == ["aegis"]
    assert held == asked


def test_where_it_is_missing_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    probe = GeminiDriver().probe()
    assert not probe.found and "@google/gemini-cli" in probe.hint and probe.proven == "0.61.0"


def test_where_it_is_installed_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "gemini"
    binary.write_text("#!/bin/sh\necho 0.62.1\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    probe = GeminiDriver().probe()
    assert (probe.found, probe.version, probe.path) == (True, "0.62.1", str(binary))
