"""How much a ledger has been asked to do: small sums, each with one thread that adds to it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(slots=True)
class Counts:
    """What was done since the ledger was opened; the difference of two is what was done between them.

    `appends` were asked for and waited for, `rides` were not waited for, `commits` synced (each with all there was),
    `rows` and `written` bytes of JSON stored.
    `queries` were asked on the loop, `asides` in a thread; `rows_read` and `read` bytes of JSON came back from both.
    """

    appends: int = 0
    rides: int = 0
    commits: int = 0
    rows: int = 0
    written: int = 0
    queries: int = 0
    asides: int = 0
    rows_read: int = 0
    read: int = 0

    def copy(self) -> Counts:
        """Return these figures as they are now."""
        return replace(self)

    def __sub__(self, before: Counts) -> Counts:
        """Return what was done since then."""
        return Counts(**{f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)})

    def add_aside(self, other: Counts) -> None:
        """Take in what another thread read; its queries did not keep the loop."""
        self.asides += other.queries
        self.rows_read += other.rows_read
        self.read += other.read
