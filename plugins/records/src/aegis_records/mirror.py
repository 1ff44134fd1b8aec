"""Each book once more as JSON lines: derived after the commit, rebuilt on request, never read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter

import msgspec
import trio

from aegis import Caller, Kernel, Registry
from aegis.ledger import Record
from aegis_records.ended import program_of
from aegis_records.jsonlines import Appender

_BREATH, _FILE = 200, 20  # records that are written again before others have their turn; a new file counts as so many
_KNOWN = 5_000  # agents whose inbox is known without asking
_MAIL = "inboxes/{recipient}.jsonl"  # of the kernel's own book


class Mirror:
    """Writes each committed record to `books/<book>.jsonl`, or to the file that `mirrors` has for its book."""

    def __init__(self, kernel: Kernel, appender: Appender, mirrors: Registry[tuple[str, str]]) -> None:
        self._kernel, self._appender, self._mirrors = kernel, appender, mirrors
        self.folder = appender.folder
        self._inboxes: dict[str, str] = {}  # of the agents that were started last
        self._later: list[Record] | None = None  # what is committed while everything is written again
        self._rebuilding = trio.Lock()
        kernel.ledger.on_commit(self._committed)

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        await self._appender.serve()

    async def rebuild(self) -> tuple[int, int]:
        """Write every file again from the ledger; return how many records are in how many files."""
        async with self._rebuilding:
            self._later, last = [], 0  # first: what is committed during the flush must not be buffered again
            files: set[str] = set()
            count = work = 0
            try:
                await self._appender.flush()
                for count, record in enumerate(self._kernel.ledger.select("1 order by seq"), 1):  # noqa: B007 - it is told
                    last, name = record.seq, self._file(record)
                    if name not in files:
                        files.add(name)
                        self._appender.remove(name)
                        work += _FILE
                    self._write(name, record)
                    if (work := work + 1) >= _BREATH:
                        work = 0
                        await trio.lowlevel.checkpoint()
                        await self._appender.room()
            finally:
                later, self._later = self._later, None
                self._committed([record for record in later if record.seq > last])
            await self._appender.flush()
            for name in self._there() - files:  # all that it had was taken out of the ledger
                self._appender.remove(name)
            return count, len(files)

    def _there(self) -> set[str]:
        """Return the files of the mirror that there are."""
        templates = ["books/{book}.jsonl", _MAIL, *(template for _, template in self._mirrors.values())]
        patterns = {re.sub(r"\{[^}]*\}", "*", template) for template in templates if template}
        return {str(file.relative_to(self.folder)) for pattern in patterns for file in self.folder.glob(pattern)}

    def _committed(self, records: list[Record]) -> None:
        if self._later is not None:
            self._later += records
            return
        for record in records:
            self._write(self._file(record), record)

    def _write(self, name: str, record: Record) -> None:
        line = {"v": 1, "seq": record.seq, "at": record.at, "event": record.kind, "key": record.key, **record.data}
        self._appender.buffer(name).extend(msgspec.json.encode(line, enc_hook=str) + b"\n")

    def _file(self, record: Record) -> str:
        book, data = record.book, record.data
        if book == "roster":
            self._learn(record)
        if book == "mail":
            return _filled(_MAIL, {"recipient": self._inbox(data["recipient"])} if "recipient" in data else {}, book)
        return _filled(self._mirrors[book][1] if book in self._mirrors else "", {"key": record.key, **data}, book)

    def _learn(self, record: Record) -> None:
        """Remember by which name an agent's mail is kept: its handle, or that of the queue which started it."""
        if record.kind == "spawned":
            by = program_of(msgspec.convert(record.data["by"], Caller))
            self._inboxes[record.key] = by or record.data["handle"]
            if len(self._inboxes) > _KNOWN:
                del self._inboxes[next(iter(self._inboxes))]
        elif record.kind == "renamed" and "_" not in self._inbox(record.key):
            self._inboxes[record.key] = record.data["handle"]

    def _inbox(self, address: str) -> str:
        """Return by which name the mail of an agent is kept; the address of anybody else."""
        if ":" in address:
            return address
        if address not in self._inboxes:
            born = self._kernel.roster.born(address)
            return (program_of(born.by) or born.handle) if born else address
        return self._inboxes[address]


def _filled(template: str, data: Mapping[str, object], book: str) -> str:
    """Return the file's name with the fields of a record in it, none of which leads into another folder."""
    fields = _fields(template)
    if not template or not all(data.get(field) for field in fields):
        return f"books/{book.replace('/', '_')}.jsonl"
    return template.format_map({f: str(data[f]).replace("/", "_").replace(":", "-") for f in fields})


@lru_cache
def _fields(template: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(template) if field]
