"""What agents said and read, in order: one file an agent, `sessions/<agent id>.jsonl`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from aegis.events import Event, decode
from aegis.jsonlines import Appender, read_lines

_encode_into = msgspec.json.Encoder().encode_into


class Transcripts:
    """The transcripts of a project; a line is `{"v":1,"aegis_ts":…,"event":{…}}`."""

    def __init__(self, appender: Appender, now: Callable[[], str]) -> None:
        self._appender, self._now = appender, now

    def path(self, agent_id: str) -> Path:
        """Return where the agent's transcript is."""
        return self._appender.folder / "sessions" / f"{agent_id}.jsonl"

    def write(self, agent_id: str, events: Sequence[Event]) -> int:
        """Take the events for writing soon and say how many bytes wait now."""
        prefix = b'{"v":1,"aegis_ts":"%s","event":' % self._now().encode()
        buffer = self._appender.buffer(f"sessions/{agent_id}.jsonl")
        for event in events:
            buffer += prefix
            _encode_into(event, buffer, -1)
            buffer += b"}\n"
        return len(buffer)

    async def drained(self, waiting: int) -> None:
        """Wait for the disk when so much waits that memory would grow."""
        await self._appender.drained(waiting)

    async def read(self, agent_id: str) -> Sequence[tuple[str, Event]]:
        """Return (time, event) of everything written so far."""
        await self._appender.flush()
        return list(self._lines(agent_id))

    def _lines(self, agent_id: str) -> Iterator[tuple[str, Event]]:
        for line in read_lines(self.path(agent_id)):
            if isinstance(line, dict) and "event" in line:
                yield str(line.get("aegis_ts", "")), decode(line["event"])
