"""What Claude Code's tools are in ACP's terms: kind, title, the files they name, the diff they make."""

from __future__ import annotations

from typing import Any

from aegis.events import ToolKind
from aegis_jsonrpc.values import mapping, text

_KINDS: dict[str, ToolKind] = {
    "Read": "read", "NotebookRead": "read", "ListMcpResources": "read", "ReadMcpResource": "read", "ToolSearch": "read",
    "LS": "read",
    "Edit": "edit", "MultiEdit": "edit", "Write": "edit", "NotebookEdit": "edit",
    "Bash": "execute", "BashOutput": "execute", "KillShell": "execute", "PowerShell": "execute", "Monitor": "execute",
    "Workflow": "execute", "Skill": "execute", "CronCreate": "execute", "EnterWorktree": "execute",
    "Glob": "search", "Grep": "search", "LSP": "search",
    "WebFetch": "fetch", "WebSearch": "fetch",
    "Agent": "think", "Task": "think", "TodoWrite": "think",
    "TaskCreate": "think", "TaskUpdate": "think", "TaskList": "think", "TaskGet": "think",
    "EnterPlanMode": "switch_mode", "ExitPlanMode": "switch_mode",
}  # fmt: skip
_TITLED_BY = {"Bash": "command", "Glob": "pattern", "Grep": "pattern", "Agent": "description", "Task": "description"}
_PATHS = ("file_path", "notebook_path", "path")


def kind(name: str) -> ToolKind:
    """Return what sort of act the tool is; `other` when nobody knows, as for tools of MCP servers."""
    return _KINDS.get(name, "other")


def title(name: str, tool_input: Any) -> str:
    """Return the argument that says most: the command, the file, the pattern, else the first that is text."""
    arguments = mapping(tool_input)
    if said := text(arguments.get(_TITLED_BY.get(name, "file_path"))):
        return said
    return next((value for value in arguments.values() if type(value) is str), "")


def paths(tool_input: Any) -> tuple[str, ...]:
    """Return the files the call names."""
    arguments = mapping(tool_input)
    return tuple(value for key in _PATHS if (value := text(arguments.get(key))))


def locations(tool_input: Any) -> tuple[str, ...]:
    """Return the files the call names, with the line where one is given."""
    line = mapping(tool_input).get("offset")
    return tuple(f"{path}:{line}" if type(line) is int else path for path in paths(tool_input))


def diff(name: str, tool_input: Any, outcome: Any) -> tuple[str, str, str] | None:
    """Return (path, old text, new text) of an edit that was made; `outcome` is the result's structured part."""
    arguments = mapping(tool_input)
    if name == "Edit":
        names = ("file_path", "old_string", "new_string")
        return (text(arguments.get(names[0])), text(arguments.get(names[1])), text(arguments.get(names[2])))
    if name == "Write":
        before = text(mapping(outcome).get("originalFile"))
        return text(arguments.get("file_path")), before, text(arguments.get("content"))
    if name == "NotebookEdit":
        return text(arguments.get("notebook_path")), "", text(arguments.get("new_source"))
    return None
