"""What is shown of schedules."""

from __future__ import annotations

from typing import Any

import msgspec


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule in a list: `source` is where it is written, `state` why it begins no more, or what it does now."""

    name: str
    does: str
    when: str
    next_fire: str
    state: str
    fire_count: int
    last_status: str
    source: str
    enabled: bool
    in_flight: int


class ScheduleSheet(msgspec.Struct, frozen=True):
    """Everything about a schedule: its entry in force, its next times, what happened last, and whose act it is."""

    name: str
    source: str
    does: str
    spec: dict[str, Any]
    next_fires: list[str]
    state: str
    in_flight: list[str]
    queued: int
    fire_count: int
    skipped: int
    last_fire: str
    last_status: str
    last_error: str
    last_completed_at: str
    acts_for: str


class Coming(msgspec.Struct, frozen=True):
    """A time at which a schedule begins: in UTC, and as its own time zone has it."""

    at: str
    local: str


class Begun(msgspec.Struct, frozen=True):
    """A schedule that was begun by hand."""

    name: str
    task_id: str
    status: str
    result: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.status}" + (f"\n{self.result}" if self.result else "")

    @property
    def exit_code(self) -> int:
        """How a shell ends that waited for it: 0 when it ended well."""
        return int(self.status.startswith("failed"))
