"""OpenCode: an ACP agent whose model and permissions are part of its configuration."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from aegis import Command, ConfigError, DriverInfo, Profile, Seat
from aegis_acp.driver import AcpDriver
from aegis_acp.figures import Figures
from aegis_opencode.profile import OpenCodeProfile

_CONFIG = "OPENCODE_CONFIG_CONTENT"
# Of the plane's verbs it asks, and the kernel answers: a pattern `aegis_*` would be other servers' tools, too.
_LOOK = dict.fromkeys(("read", "list", "glob", "grep", "lsp", "todowrite", "skill", "task"), "allow")
_ASK = {"*": "ask"} | _LOOK
_STATE = {"read": {"*": "allow", "*.aegis/state*": "deny"}}  # what aegis keeps there is for no agent
_PERMISSIONS = {
    "read": _ASK | {"edit": "deny", "bash": "deny"} | _STATE, "write": _ASK | _STATE, "full": {"*": "allow"} | _STATE,
    "auto": _ASK | _STATE,
}  # fmt: skip
_AGENTS = ("build", "plan", "general", "explore")  # its own; each may have permissions of its own in the settings

# Not OPENCODE_DISABLE_DEFAULT_PLUGINS: by these it signs in at some providers, and they call nobody by themselves.
_QUIET = ("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD")
# It serves all that it can do on a port of the loopback, also to other accounts of the machine, but for a password.
_PASSWORD = "OPENCODE_SERVER_PASSWORD"
_UNBILLED = {"disable": True}  # of a request for a title, which nobody here reads, it never says what it took


class OpenCodeDriver(AcpDriver):
    """The provider `opencode`."""

    name = "opencode"
    info = DriverInfo(
        costs=True,
        plane=("aegis_",),
        environment=("OPENCODE_*",),
        calls_home="at its first start it installs its plugin kit from npm's registry into its configuration folder",
    )
    settings: type[Profile] = OpenCodeProfile
    proven = "1.18.33"
    install = "install OpenCode: npm install -g opencode-ai"
    asks = True
    picks = False
    modes: ClassVar = {"read": "build", "write": "build"}  # a person's own modes may allow more
    # A turn's usage is that of its last request, and the sessions of sub-agents have bills of their own.
    figures: ClassVar = Figures(usage="request", helpers=frozenset({"task"}))

    def command(self, seat: Seat, profile: Any) -> Command:
        """Return how OpenCode is started in the seat; what its environment configures already is kept."""
        asked = _PERMISSIONS[profile.permission]
        config = _merged(_inherited(seat.env.get(_CONFIG, "")), profile.config)
        ours: dict[str, Any] = {
            "permission": asked,
            "agent": {name: {"permission": asked} for name in _AGENTS} | {"title": {"permission": asked} | _UNBILLED},
            "experimental": {"continue_loop_on_deny": True},  # else a tool that is refused ends the turn
            "autoupdate": False,  # twenty agents must not update the CLI at once
            "share": "disabled",
        }
        ours |= {"model": profile.model} if profile.model else {}
        quiet = {name: "1" for name in _QUIET if name not in profile.env} if profile.quiet else {}
        password = {_PASSWORD: secrets.token_urlsafe(24)} if _PASSWORD not in seat.env else {}
        env = seat.env | quiet | password | {_CONFIG: json.dumps(_merged(config, ours))}
        return Command([*profile.command, "acp", *profile.args], env, seat.cwd)


def _inherited(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text or "{}"))
    except (ValueError, TypeError, RecursionError):
        raise ConfigError(f"{_CONFIG} in the environment is not a JSON object") from None


def _merged(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with more in it; what both have is taken from `more`, mappings key by key."""
    both = dict(config)
    for key, value in more.items():
        before = both.get(key)
        both[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both
