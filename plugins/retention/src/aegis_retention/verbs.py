"""The verbs on what the ledger keeps."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Kernel, Refused, report, verb
from aegis_retention.service import Retention
from aegis_retention.settings import age_of
from aegis_retention.state_files import sizes


class Size(msgspec.Struct, frozen=True):
    """A part of the state: a book of the ledger, or what is in the state folder."""

    what: str
    records: int
    bytes: int


class Compaction(msgspec.Struct, frozen=True):
    """What was taken out of the ledger, and how large its file was and is."""

    records: int
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        sizes = f"the ledger has {self.bytes_after:,} bytes (it had {self.bytes_before:,})"
        return f"{self.records:,} records taken out; {sizes}"


class RetentionVerbs:
    """Showing how large the state is, and making it small."""

    name = "ledger"

    def __init__(self, kernel: Kernel, retention: Retention) -> None:
        self._kernel, self._retention = kernel, retention

    @verb("ledger show", read_only=True, for_={"person", "program"})
    async def show(self, caller: Caller) -> list[Size]:
        """Show how large the state of this project is: the books of the ledger, then everything on disk."""
        ledger = self._kernel.ledger
        books = await ledger.ask(
            "select book || ' ' || count(*) || ' ' || sum(length(data)) from records group by book"
        )
        rows = [
            Size(f"book {book}", int(count), int(size)) for book, count, size in (row.rsplit(" ", 2) for row in books)
        ]
        files = await trio.to_thread.run_sync(sizes, self._kernel.project.state)
        return [*rows, *(Size(name, 0, size) for name, size in files.items()), Size("all", 0, sum(files.values()))]

    @verb("ledger compact", destructive=True, for_={"person", "program"}, positional=())
    async def compact(
        self,
        caller: Caller,
        older_than: Annotated[
            str,
            Field(description="take out what has been over for longer than this: 12h, 30d, 8w; empty: as `keep` says"),
        ] = "",
    ) -> Compaction:
        """Take out what is over and old, with the transcripts of agents that are gone, and give its room back.

        Nothing that is open is taken out, whatever its age.
        """
        said = older_than or self._retention.keep.age
        if not said:
            raise Refused("say how old: `aegis ledger compact --older-than 30d`, or `keep: {age: 30d}` in .aegis.yaml")
        try:
            age = age_of(said)
        except ValueError as error:
            raise Refused(str(error)) from None
        done = await self._retention.compact(age, report)
        return Compaction(done.records, done.before, done.after)
