"""What a request is about, as one kind of text that a rule's `match` is held against."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aegis import PermissionRequest
from aegis_approvals.places import spelled

# What may stand beside a command without making it another act; anything else that is set makes the input the subject.
_BESIDE = frozenset({"command", "description", "timeout", "timeout_ms", "is_background", "run_in_background"})
_WHERE = ("cwd", "workdir", "directory", "dir_path")


class Subject(NamedTuple):
    """The command, the files, the address or the whole input; nothing when the request says too little."""

    sort: Literal["command", "path", "url", "input", "nothing"]
    values: tuple[str, ...] = ()


def subject(request: PermissionRequest, folder: Path) -> Subject:
    """Return what the request of an agent in this folder is about."""
    given = request.input if isinstance(request.input, dict) else {}
    if request.paths and request.kind != "execute":
        paths = tuple(spelled(folder, path) for path in request.paths)
        return Subject("path", paths) if all(paths) else Subject("nothing")
    if request.kind == "execute" and (command := _command(given, folder)):
        return Subject("command", (command,))
    if request.kind == "fetch" and isinstance(given.get("url"), str):
        return Subject("url", (given["url"],))
    if isinstance(request.input, dict):
        return Subject("input", (json.dumps(request.input, sort_keys=True, ensure_ascii=False, default=str),))
    return Subject("nothing")


def _command(given: dict[str, Any], folder: Path) -> str:
    """Return the command line, the folder it would run in before it if that is another; empty if that is not all."""
    command = given.get("command")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        command = shlex.join(command)
    if not isinstance(command, str) or any(given[key] for key in given.keys() - _BESIDE - {*_WHERE}):
        return ""
    there = next((str(given[key]) for key in _WHERE if given.get(key)), "")
    elsewhere = there and spelled(folder, there) != "./."
    return f"cd {shlex.quote(there)} && {command}" if elsewhere else command
