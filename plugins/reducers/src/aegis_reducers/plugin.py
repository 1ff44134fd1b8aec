"""What aegis-reducers offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Reducer


@hookimpl
def aegis_reducers() -> list[Reducer]:
    """Offer the reducers: ways to make one value of many answers."""
    from aegis_reducers.folds import Concat, JoinByHandle, JsonMerge, LastWins, MajorityVote  # noqa: PLC0415

    return [Concat(), JoinByHandle(), JsonMerge(), LastWins(), MajorityVote()]
