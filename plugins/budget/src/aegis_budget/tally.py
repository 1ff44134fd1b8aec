"""What one scope spent, and when: enough to say what lies in a window, and when it will be less."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from aegis_budget.settings import Unit

_DAY, _HOUR = 86_400, 3_600


class Tally:
    """Spending in the order of time, in seconds of the epoch.

    What is older than a day is kept by the hour, as if all of an hour had been spent at its last spending: windows of a
    day or less are exact, in longer ones spending counts up to an hour too long.
    """

    def __init__(self, slots: Iterable[Any] = ()) -> None:
        self._times: list[int] = []
        self._spent: dict[Unit, list[Decimal]] = {"usd": [], "output_tokens": []}
        self._gathered = 0
        for when, usd, tokens in slots:
            self._put(when, Decimal(usd), Decimal(tokens))

    def add(self, when: int, usd: Decimal, tokens: int, keep: int) -> None:
        """Add what was spent at a time not before the last one; what is older than `keep` seconds is forgotten."""
        self._put(when, usd, Decimal(tokens))
        if when // _HOUR != self._gathered:
            self._gathered = when // _HOUR
            self._gather(when, keep)

    def _put(self, when: int, usd: Decimal, tokens: Decimal) -> None:
        if self._times and self._times[-1] >= when:
            self._spent["usd"][-1] += usd
            self._spent["output_tokens"][-1] += tokens
        else:
            self._times.append(when)
            self._spent["usd"].append(usd)
            self._spent["output_tokens"].append(tokens)

    def _gather(self, now: int, keep: int) -> None:
        slots = self.slots()
        self._times, self._spent = [], {"usd": [], "output_tokens": []}
        for when, usd, tokens in slots:
            if when <= now - keep:
                continue
            if self._times and when <= now - _DAY and self._times[-1] // _HOUR == when // _HOUR:
                self._times[-1] = when
            self._put(when, usd, tokens)

    def slots(self) -> list[tuple[int, Decimal, Decimal]]:
        """Return what `Tally` can be made of again."""
        return list(zip(self._times, self._spent["usd"], self._spent["output_tokens"], strict=True))

    def spent(self, unit: Unit, now: float, window: int) -> Decimal:
        """Return what was spent in the last `window` seconds; what is exactly that old is out."""
        return sum(self._spent[unit][bisect_right(self._times, now - window) :], Decimal(0))

    def below(self, unit: Unit, limit: Decimal, now: float, window: int) -> int:
        """Return when so much has left the window that less than `limit` is in it, if nothing is spent until then."""
        left = self.spent(unit, now, window)
        first = bisect_right(self._times, now - window)
        for when, spent in zip(self._times[first:], self._spent[unit][first:], strict=True):
            if left < limit:
                break
            left -= spent
            now = when + window
        return int(now)
