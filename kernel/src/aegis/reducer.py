"""What a reducer package offers: a way to fold many answers into one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What one member said, in order of arrival; a silent or failed member is an answer too."""

    handle: str
    text: str
    outcome: str = "completed"
    reason: str = ""
    seconds: float = 0.0
    cost_usd: float | None = None


class Reducer(Protocol):
    """A name and a pure function that is total, also on no answers."""

    name: str

    def fold(self, answers: Sequence[Answer]) -> Any:
        """Return one JSON value for all the answers."""
