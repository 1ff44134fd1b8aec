"""Each book once more as JSON lines: derived after the commit, rebuilt on request, never read back."""

from __future__ import annotations

import msgspec

from aegis import Kernel
from aegis.ledger import Record
from aegis_records.jsonlines import Appender

_FLUSH_EVERY = 10_000

# Books whose mirror is one file for each value of a field, as the reference fixes the names: file and field.
_SPLIT = {
    "mail": ("inboxes/{}.jsonl", "recipient"),
    "queue": ("queues/{}.jsonl", "queue"),
    "schedule": ("schedules/{}.jsonl", "schedule"),
    "terminal": ("terminals/{}/ledger.jsonl", "terminal"),
}


class Mirror:
    """Writes each committed record to `books/<book>.jsonl`, or to the file the reference names for its book."""

    def __init__(self, kernel: Kernel, appender: Appender) -> None:
        self._kernel, self._appender = kernel, appender
        self.folder = appender.folder
        self._handles: dict[str, str] = {}
        kernel.ledger.on_commit(self._committed)

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        await self._appender.serve()

    async def rebuild(self) -> tuple[int, int]:
        """Write every file again from the ledger; return how many records are in how many files."""
        await self._appender.flush()
        files: set[str] = set()
        count = 0
        for record in self._kernel.ledger.select("1 order by seq"):
            name = self._file(record)
            if name not in files:
                files.add(name)
                (self.folder / name).unlink(missing_ok=True)
            self._committed([record])
            count += 1
            if count % _FLUSH_EVERY == 0:
                await self._appender.flush()
        await self._appender.flush()
        return count, len(files)

    def _committed(self, records: list[Record]) -> None:
        for record in records:
            line = {"v": 1, "seq": record.seq, "at": record.at, "event": record.kind, "key": record.key, **record.data}
            self._appender.buffer(self._file(record)).extend(msgspec.json.encode(line, enc_hook=str) + b"\n")

    def _file(self, record: Record) -> str:
        if record.book == "roster" and "handle" in record.data:
            self._handles[record.key] = record.data["handle"]
        file, field = _SPLIT.get(record.book, ("books/{}.jsonl", ""))
        name = str(record.data.get(field) or "turns") if field else record.book
        name = self._handles.get(name) or self._kernel.roster.label(name)
        return file.format(name.replace("/", "_").replace(":", "-"))
