"""Version 1 of the Agent Client Protocol: its messages in the types of its own package.

Importing this takes 0.4 s, so only a session that opens does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, get_args

from acp.schema import (
    AgentCapabilities,
    AgentMessageChunk,
    AgentPlanContentUpdate,
    AgentPlanRemovedUpdate,
    AgentPlanUpdate,
    AgentThoughtChunk,
    AvailableCommandsUpdate,
    ConfigOptionUpdate,
    ContentToolCallContent,
    CurrentModeUpdate,
    FileEditToolCallContent,
    PermissionOption,
    PlanEntry,
    RequestPermissionRequest,
    SessionInfoUpdate,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
    UserMessageChunk,
)
from pydantic import BaseModel, ValidationError

from aegis import McpServer

__all__ = [
    "AgentCapabilities", "AgentMessageChunk", "AgentPlanContentUpdate", "AgentPlanUpdate", "AgentThoughtChunk",
    "AvailableCommandsUpdate",
    "ContentToolCallContent", "CurrentModeUpdate", "FileEditToolCallContent", "PermissionOption", "PlanEntry",
    "RequestPermissionRequest", "TextContentBlock", "ToolCallUpdate", "UsageUpdate",
]  # fmt: skip

VERSION = 1
Update: TypeAlias = BaseModel

_UPDATES: tuple[type[BaseModel], ...] = (
    UserMessageChunk,
    AgentMessageChunk,
    AgentThoughtChunk,
    ToolCallStart,
    ToolCallProgress,
    AgentPlanUpdate,
    AgentPlanContentUpdate,
    AgentPlanRemovedUpdate,
    AvailableCommandsUpdate,
    CurrentModeUpdate,
    ConfigOptionUpdate,
    SessionInfoUpdate,
    UsageUpdate,
)
_READERS = {get_args(model.model_fields["session_update"].annotation)[0]: model.model_validate for model in _UPDATES}


def update(raw: dict[str, Any]) -> Update | None:
    """Return the update of a `session/update`; None when this version has no such kind, or it is malformed."""
    kind = raw.get("sessionUpdate")
    reader = _READERS.get(kind) if type(kind) is str else None
    try:
        return reader(raw) if reader else None
    except (ValidationError, RecursionError):
        return None


def permission(params: Any) -> RequestPermissionRequest | None:
    """Return what the agent asks permission for; None when it is malformed."""
    try:
        return RequestPermissionRequest.model_validate(params)
    except (ValidationError, RecursionError):
        return None


def capabilities(hello: dict[str, Any]) -> AgentCapabilities:
    """Return what the agent can do, by its answer to `initialize`; nothing, when that is malformed."""
    try:
        return AgentCapabilities.model_validate(hello.get("agentCapabilities") or {})
    except (ValidationError, RecursionError):
        return AgentCapabilities()


def initialize(version: str) -> dict[str, Any]:
    """Return who we are: a client that lends the agent neither its files nor a terminal."""
    return {
        "protocolVersion": VERSION,
        "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
        "clientInfo": {"name": "aegis", "title": "aegis", "version": version},
    }


def servers(given: Sequence[McpServer]) -> list[dict[str, Any]]:
    """Return MCP servers as `session/new` has them."""
    return [
        {
            "type": "http",
            "name": server.name,
            "url": server.url,
            "headers": [{"name": name, "value": value} for name, value in server.headers.items()],
        }
        for server in given
    ]


def prompt(session_id: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return a prompt of these texts, each a block of its own."""
    return {"sessionId": session_id, "prompt": [{"type": "text", "text": words} for words in texts]}


def selected(option_id: str) -> dict[str, Any]:
    """Return the answer to a permission request that chooses an option."""
    return {"outcome": {"outcome": "selected", "optionId": option_id}}


CANCELLED: dict[str, Any] = {"outcome": {"outcome": "cancelled"}}
