"""The hook that aegis-queue publishes for engines that keep tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aegis.hookspecs import hookspec

if TYPE_CHECKING:
    from aegis_queue.broker import Broker


@hookspec
def aegis_brokers() -> Iterable[Broker]:  # type: ignore[empty-body]
    """Return brokers, not open yet; `plugins.queue.broker` names the one that keeps the tasks of a project."""
