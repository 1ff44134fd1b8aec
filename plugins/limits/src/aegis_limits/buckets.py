"""Rates: a bucket for each who and what holds a minute's worth, and fills up again as time passes."""

from __future__ import annotations

from dataclasses import dataclass

import trio

_MANY = 1_000  # buckets; of more, those that are full again are forgotten


@dataclass(slots=True)
class Bucket:
    """What somebody may still do of one thing, as it was at a time."""

    left: float
    at: float


class Buckets:
    """The buckets of everybody."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def take(self, who: str, what: str, rate: int) -> float:
        """Take one of so many a minute; return 0, or, when there is none, the seconds until there is."""
        bucket = self._filled(who, what, rate)
        if bucket.left < 1:
            return (1 - bucket.left) * 60 / rate
        bucket.left -= 1
        return 0

    def _filled(self, who: str, what: str, rate: int) -> Bucket:
        now = trio.current_time()
        if len(self._buckets) > _MANY:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if now - bucket.at < 60}
        bucket = self._buckets.setdefault((who, what), Bucket(rate, now))
        bucket.left = min(rate, bucket.left + (now - bucket.at) * rate / 60)
        bucket.at = now
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)

    def forget(self, who: str) -> None:
        """Forget everything about somebody who is gone."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] != who}
