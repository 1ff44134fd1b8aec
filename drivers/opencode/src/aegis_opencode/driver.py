"""OpenCode: an ACP agent whose model and permissions are part of its configuration."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from aegis import Command, ConfigError, Seat
from aegis_acp.driver import AcpDriver
from aegis_acp.profile import AcpProfile

_CONFIG = "OPENCODE_CONFIG_CONTENT"
_ENVIRONMENT = {"OPENCODE_DISABLE_AUTOUPDATE": "1"}  # twenty agents must not update the CLI at once
_ASK = {"*": "ask", "read": "allow", "list": "allow", "glob": "allow", "grep": "allow", "todowrite": "allow"}
_PERMISSIONS = {
    "read": _ASK | {"edit": "deny", "bash": "deny", "aegis_*": "allow"},
    "write": _ASK | {"aegis_*": "allow"},
    "full": "allow",
    "auto": _ASK | {"aegis_*": "allow"},
}


class OpenCodeProfile(AcpProfile):
    """A profile with `provider: opencode`."""

    provider: Literal["opencode"] = "opencode"
    command: list[str] = Field(["opencode"], min_length=1, description="how OpenCode is started here")
    config: dict[str, Any] = Field(default_factory=dict, description="OpenCode's own configuration, merged into yours")


class OpenCodeDriver(AcpDriver):
    """The provider `opencode`."""

    name = "opencode"
    settings = OpenCodeProfile
    proven = "1.18.33"
    install = "install OpenCode: npm install -g opencode-ai"
    asks = True
    picks = False

    def command(self, seat: Seat, profile: Any) -> Command:
        """Return how OpenCode is started in the seat; what its environment configures already is kept."""
        config = _inherited(seat.env.get(_CONFIG, "")) | profile.config
        config |= {"permission": _PERMISSIONS[profile.permission], "autoupdate": False, "share": "disabled"}
        config |= {"model": profile.model} if profile.model else {}
        env = _ENVIRONMENT | seat.env | {_CONFIG: json.dumps(config)}
        return Command([*profile.command, "acp", *profile.args], env, seat.cwd)


def _inherited(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text or "{}"))
    except (ValueError, TypeError):
        raise ConfigError(f"{_CONFIG} in the environment is not a JSON object") from None
