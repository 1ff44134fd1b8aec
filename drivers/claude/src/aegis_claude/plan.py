"""The agent's plan: whole lists from TodoWrite, changes from the task tools, always shown whole."""

from __future__ import annotations

import re
from typing import Any

from aegis.events import Plan, PlanEntry
from aegis_jsonrpc.values import items, mapping, text

TOOLS = frozenset({"TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "TaskGet"})
_STATUS = frozenset({"pending", "in_progress", "completed"})
_CREATED = re.compile(r"Task #(\S+) created")


class PlanSoFar:
    """The plan as the tool calls so far have made it."""

    def __init__(self) -> None:
        self._entries: dict[str, PlanEntry] = {}

    def after(self, name: str, tool_input: Any, result: str) -> Plan | None:
        """Take in a plan tool's call that succeeded and return the plan if it changed."""
        before = dict(self._entries)
        arguments = mapping(tool_input)
        if name == "TodoWrite":
            todos = [mapping(todo) for todo in items(arguments.get("todos"))]
            self._entries = {str(n): _entry(text(t.get("content")), t.get("status")) for n, t in enumerate(todos)}
        elif name == "TaskCreate" and (created := _CREATED.search(result)):
            self._entries[created[1]] = _entry(text(arguments.get("subject")), "pending")
        elif name == "TaskUpdate":
            self._update(text(arguments.get("taskId")), arguments)
        return Plan(tuple(self._entries.values())) if self._entries != before else None

    def _update(self, task: str, arguments: dict[str, Any]) -> None:
        if arguments.get("status") == "deleted":
            self._entries.pop(task, None)
        elif entry := self._entries.get(task):
            status = arguments.get("status")
            content = text(arguments.get("subject")) or entry.content
            self._entries[task] = _entry(content, entry.status if status is None else status)


def _entry(content: str, status: Any) -> PlanEntry:
    return PlanEntry(content, status if type(status) is str and status in _STATUS else "pending")  # type: ignore[arg-type]
