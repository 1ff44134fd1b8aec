"""How OpenCode is started: its configuration, into which the profile's model and permission are merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis import ConfigError, Seat
from aegis_opencode.driver import OpenCodeDriver
from aegis_opencode.profile import OpenCodeProfile

PROVIDER = {"provider": {"mine": {"npm": "x"}}, "permission": {"webfetch": "deny", "bash": "allow"}}


def seat(folder: Path, env: dict[str, str] | None = None, **keys: Any) -> Seat:
    unused: Any = None
    return Seat("01AGENT", "lucid-knuth", OpenCodeProfile(**keys), folder, folder, unused, unused, env=env or {})


def configured(folder: Path, env: dict[str, str] | None = None, **keys: Any) -> dict[str, Any]:
    sat = seat(folder, env, **keys)
    command = OpenCodeDriver().command(sat, sat.profile)
    assert command.argv == ["opencode", "acp"]
    config: dict[str, Any] = json.loads(command.env["OPENCODE_CONFIG_CONTENT"])
    return config


@pytest.mark.parametrize(
    ("permission", "edit", "bash", "verbs"),
    [
        ("read", "deny", "deny", "ask"),
        ("write", "ask", "ask", "ask"),
        ("auto", "ask", "ask", "ask"),
        ("full", "allow", "allow", "allow"),
    ],
)
def test_its_permissions_for_every_agent_of_its_own(
    tmp_path: Path, permission: str, edit: str, bash: str, verbs: str
) -> None:
    config = configured(tmp_path, permission=permission)
    for told in (config["permission"], *(agent["permission"] for agent in config["agent"].values())):
        assert [told.get(tool, told["*"]) for tool in ("edit", "bash", "aegis_evil_run")] == [edit, bash, verbs]


def test_what_is_configured_already_is_kept(tmp_path: Path) -> None:
    env = {"OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {"theirs": {"npm": "y"}}, "model": "theirs/a"})}
    config = configured(tmp_path, env, config={"provider": {"mine": {"npm": "x"}}, "share": "auto"}, model="mine/b")
    assert config["provider"] == {"theirs": {"npm": "y"}, "mine": {"npm": "x"}}
    assert (config["model"], config["share"], config["autoupdate"]) == ("mine/b", "disabled", False)
    assert config["experimental"] == {"continue_loop_on_deny": True}


def test_it_is_quiet_unless_its_profile_says_otherwise(tmp_path: Path) -> None:
    for quiet, said in ((True, "1"), (False, None)):
        sat = seat(tmp_path, quiet=quiet)
        env = OpenCodeDriver().command(sat, sat.profile).env
        assert [env.get(f"OPENCODE_DISABLE_{w}") for w in ("MODELS_FETCH", "LSP_DOWNLOAD", "AUTOUPDATE")] == [said] * 3
        assert "OPENCODE_DISABLE_DEFAULT_PLUGINS" not in env, "people sign in by these"


def test_its_port_is_closed_to_other_accounts(tmp_path: Path) -> None:
    name, sat = "OPENCODE_SERVER_PASSWORD", seat(tmp_path)
    first, second = (OpenCodeDriver().command(sat, sat.profile).env[name] for _ in range(2))
    assert first != second and len(first) >= 32
    own = seat(tmp_path, {name: "theirs"})
    assert OpenCodeDriver().command(own, own.profile).env[name] == "theirs"


def test_it_asks_no_model_for_a_title(tmp_path: Path) -> None:
    """That would be on nobody's bill."""
    assert configured(tmp_path)["agent"]["title"]["disable"] is True


def test_a_permission_that_is_one_word_gives_way(tmp_path: Path) -> None:
    assert configured(tmp_path, config={"permission": "allow"}, permission="read")["permission"]["edit"] == "deny"


@pytest.mark.parametrize("said", ["{", "[1]", '"x"'])
def test_a_configuration_that_is_none_is_said(tmp_path: Path, said: str) -> None:
    with pytest.raises(ConfigError, match="OPENCODE_CONFIG_CONTENT in the environment is not a JSON object"):
        configured(tmp_path, {"OPENCODE_CONFIG_CONTENT": said})
