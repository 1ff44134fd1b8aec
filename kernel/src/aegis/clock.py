"""What time it is, in the one format aegis writes, and the ids that sort by it."""

from __future__ import annotations

from datetime import UTC, datetime

from ulid import ULID


class Clock:
    """The computer's clock; waiting is trio's business, so tests bring a clock that agrees with its `MockClock`."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """Return `2026-01-05T10:00:09Z`."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id() -> str:
    """Return a fresh ULID: 26 characters that sort by time of making."""
    return str(ULID())
