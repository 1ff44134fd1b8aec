"""What time it is, in the one format aegis writes, and the ids that sort by it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from ulid import ULID


class Clock(Protocol):
    """Where wall-clock time comes from; waiting is trio's business, so tests run under its `MockClock`."""

    def now(self) -> datetime:
        """Return the current time in UTC."""


class WallClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """Return `2026-01-05T10:00:09Z`."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id() -> str:
    """Return a fresh ULID: 26 characters that sort by time of making."""
    return str(ULID())
