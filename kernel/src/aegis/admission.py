"""Whether work may begin: what is asked of policy before a task, a run or a schedule starts, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from aegis.callers import Caller


@dataclass(slots=True, kw_only=True)
class Work:
    """Work that wants to begin: `kind` and `id` name it (`task`, its id), `place` is where it waits (a queue's name).

    `terms` are demands that only a plugin can keep (`{"budgets": […]}`): it adds their names to `kept`. With `only_ask`
    nothing is reserved.
    """

    kind: str
    id: str
    place: str
    profile: str
    caller: Caller
    terms: Mapping[str, Any] = field(default_factory=dict)
    only_ask: bool = False
    kept: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Hold:
    """The work may not begin yet: why, until when if that is known (UTC), and what is set when asking again helps."""

    reason: str
    until: str = ""
    changed: trio.Event | None = None
