"""What aegis-schedule offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the sections `schedules` and `scheduler`."""
    from aegis_schedule.settings import Entry, Scheduler  # noqa: PLC0415 - entry modules stay light

    return {"schedules": dict[str, Entry], "scheduler": Scheduler}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer schedules."""
    from aegis_schedule.service import Schedules  # noqa: PLC0415 - the same
    from aegis_schedule.store import Store  # noqa: PLC0415
    from aegis_schedule.verbs import ScheduleVerbs  # noqa: PLC0415

    schedules = Schedules(kernel, settings, Store(kernel))
    return [schedules, ScheduleVerbs(kernel, schedules)]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each schedule."""
    return [("schedule", "schedules/{key}.jsonl")]
