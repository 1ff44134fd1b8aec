from __future__ import annotations

import json
import stat
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from aegis.driver import McpServer, Seat
from aegis_claude.profile import ClaudeProfile, command, environment

Seats = Callable[..., Seat]


def after(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_the_command_line_of_a_plain_profile(seat: Seats) -> None:
    argv = command(seat()).argv
    assert argv[:2] == ["claude", "-p"]
    assert after(argv, "--input-format") == after(argv, "--output-format") == "stream-json"
    assert after(argv, "--permission-prompt-tool") == "stdio"
    assert "--strict-mcp-config" in argv and after(argv, "--allowedTools") == "mcp__aegis"
    for absent in ("--model", "--effort", "--resume", "--append-system-prompt"):
        assert absent not in argv


def test_every_key_of_the_profile_is_on_the_command_line(seat: Seats) -> None:
    here = seat(model="opus", effort="xhigh", command=["npx", "claude"], args=["--add-dir", "/srv"])
    here.resume, here.primer = "abc", ["You are x.", "Be kind."]
    argv = command(here).argv
    assert argv[:3] == ["npx", "claude", "-p"] and argv[-2:] == ["--add-dir", "/srv"]
    assert (after(argv, "--model"), after(argv, "--effort"), after(argv, "--resume")) == ("opus", "xhigh", "abc")
    assert after(argv, "--append-system-prompt") == "You are x.\n\nBe kind."


@pytest.mark.parametrize(
    ("permission", "mode"), [("read", "plan"), ("write", "default"), ("full", "default"), ("auto", "default")]
)
def test_each_permission_is_a_mode_that_also_root_may_use(seat: Seats, permission: str, mode: str) -> None:
    assert after(command(seat(permission=permission)).argv, "--permission-mode") == mode


@pytest.mark.parametrize("permission", ["read", "write", "full", "auto"])
def test_a_persons_settings_open_nothing_by_which_it_would_give_itself_leave(seat: Seats, permission: str) -> None:
    argv = command(seat(permission=permission)).argv
    rules = json.loads(after(argv, "--settings"))["permissions"]
    assert {"Read(//**/.aegis/state/**)", "Edit(//**/.aegis/state/**)"} <= set(rules["deny"])
    if permission in ("read", "full"):  # who may change nothing, and who may change everything else
        assert rules["ask"] == []
    else:
        assert {"Edit(//**/.aegis.yaml)", "Edit(//**/.aegis/**)"} <= set(rules["ask"])


def test_the_secret_is_in_a_private_file_and_nowhere_else(seat: Seats) -> None:
    here = seat()
    here.servers = [McpServer("aegis", "http://127.0.0.1:1/mcp", {"Authorization": "Bearer s3cret"})]
    (here.folder / "mcp.json").write_text("an older one that all could read")
    (here.folder / "mcp.json").chmod(0o644)
    made = command(here)
    file = here.folder / "mcp.json"
    assert after(made.argv, "--mcp-config") == str(file) and "s3cret" not in str([made.argv, made.env])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = json.loads(file.read_text())["mcpServers"]["aegis"]
    assert entry["headers"] == {"Authorization": "Bearer s3cret"} and entry["alwaysLoad"] is True


def test_a_claude_session_around_us_is_left_out_but_not_the_account(seat: Seats) -> None:
    here = seat(env={"CLAUDE_CODE_MAX_RETRIES": "3"})
    around = {"CLAUDECODE": "1", "CLAUDE_CODE_SSE_PORT": "1", "CLAUDE_CODE_USE_BEDROCK": "1", "PATH": "/bin"}
    here.env = around | {"CLAUDE_CODE_MAX_RETRIES": "3"}
    env = environment(here, here.profile)
    assert "CLAUDECODE" not in env and "CLAUDE_CODE_SSE_PORT" not in env
    assert (env["CLAUDE_CODE_USE_BEDROCK"], env["CLAUDE_CODE_MAX_RETRIES"], env["PATH"]) == ("1", "3", "/bin")
    assert env["CLAUDE_CODE_TMPDIR"] == str(here.folder) and env["ENABLE_TOOL_SEARCH"] == "false"


def test_what_a_person_exported_is_kept(seat: Seats) -> None:
    here = seat()
    here.env = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "9"}
    assert environment(here, here.profile)["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "9"


def test_the_profile_has_the_last_word(seat: Seats) -> None:
    here = seat(env={"ENABLE_TOOL_SEARCH": "true"})
    here.env = dict(here.profile.env)
    assert environment(here, here.profile)["ENABLE_TOOL_SEARCH"] == "true"


def test_it_is_quiet_unless_its_profile_says_otherwise(seat: Seats) -> None:
    quiet = {"DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"}
    here, loud, own = seat(), seat(quiet=False), seat(env={"DISABLE_TELEMETRY": "0"})
    own.env = dict(own.profile.env)
    assert quiet <= environment(here, here.profile).keys()
    assert not quiet & environment(loud, loud.profile).keys()
    assert environment(own, own.profile)["DISABLE_TELEMETRY"] == "0"


@pytest.mark.parametrize(("background", "value"), [(False, "1"), (True, None)])
def test_a_turn_waits_for_what_it_started_unless_told_otherwise(
    seat: Seats, background: bool, value: str | None
) -> None:
    here = seat(background=background)
    assert environment(here, here.profile).get("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS") == value


@pytest.mark.parametrize("wrong", [{"effort": "huge"}, {"command": []}, {"provider": "codex"}, {"speed": 1}])
def test_a_wrong_profile_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClaudeProfile(**wrong)
