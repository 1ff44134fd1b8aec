"""What agents said, in order, written as it happens: one file an agent, `sessions/<agent id>.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from math import inf
from typing import Any

import msgspec
import trio

from aegis import Caller, Envelope, Kernel, Refused
from aegis.bus import Batch, Subscription
from aegis.clock import stamp
from aegis.events import AgentChanged, Delivered, Event
from aegis.registry import owner
from aegis_permission.acts import blind, sees
from aegis_records.backwards import last_lines, last_turns
from aegis_records.ended import Ended, program_of
from aegis_records.jsonlines import EVERY, Appender
from aegis_records.replay import replay
from aegis_records.turns_text import last_words, turns_text

_encode_lines = msgspec.json.Encoder().encode_lines
_NOT_SAID = (AgentChanged, Delivered)  # views change all the time; mail is recorded where it is read
_BEHIND = 20_000  # events that may wait for the disk before a CLI is made to
_TOGETHER = 20  # transcripts of agents that are gone that are put away at once
_TAIL = 2**20  # bytes of each transcript among which the newest events are looked for


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event as a transcript has it: when it happened, to which agent, and the event as data."""

    at: str
    agent_id: str
    handle: str
    event: dict[str, Any]


class _Written(msgspec.Struct, gc=False):
    v: int
    aegis_ts: str
    number: int
    event: Event


class _Line(msgspec.Struct):
    aegis_ts: str
    event: dict[str, Any]


class Transcripts:
    """The transcripts of a project; a line is `{"v":1,"aegis_ts":…,"number":…,"event":{…}}`."""

    def __init__(self, kernel: Kernel, appender: Appender) -> None:
        self._kernel, self._appender = kernel, appender
        self._kept = Ended(appender.folder / "sessions")
        self._ended: dict[str, dict[str, str]] = {}  # agents that are gone, and what is said of each
        self._news: Subscription | None = None

    async def run(self, started: trio.Event) -> None:
        """Write every event of every agent until cancelled, and then what is left."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._appender.run)
                with self._kernel.bus.subscribe(_BEHIND, lossless=True, every=EVERY) as self._news:
                    self._kernel.bus.replayers.add("events", self.replay)
                    started.set()
                    for agent_id in await trio.to_thread.run_sync(self._kept.ids):
                        self.closed(agent_id)  # that was killed before it put them away
                    try:
                        async for batches in self._news:
                            self._take(batches)
                            await self._appender.room()
                            if len(self._ended) >= _TOGETHER:
                                await self._put_away()
                    finally:
                        self._kernel.bus.replayers.remove(owner.get())
                        self._take(self._news.take())
        finally:
            await self._appender.finish()
            with trio.CancelScope(shield=True):
                await self._put_away()

    def _take(self, batches: Iterable[Batch]) -> None:
        now = stamp(self._kernel.clock.now())
        for agent_id, events, last in batches:
            if not agent_id or ":" in agent_id:  # the kernel's own, or a person's mail
                continue
            numbered = enumerate(events, last - len(events) + 1)
            lines = [_Written(1, now, number, event) for number, event in numbered if type(event) not in _NOT_SAID]
            if lines:
                self._appender.buffer(f"sessions/{agent_id}.jsonl").extend(_encode_lines(lines))

    async def _flush(self) -> None:
        """Have everything that was published before in the files."""
        if self._news:
            self._take(self._news.take())
        await self._appender.flush()

    def closed(self, agent_id: str) -> None:
        """Put the agent's transcript together with others, by and by, if it is gone and a queue or workflow had it."""
        born = None if self._kernel.roster.get(agent_id) else self._kernel.roster.born(agent_id)
        if born and program_of(born.by):
            self._ended[agent_id] = {"handle": born.handle, "by": str(born.by), "born": born.born}

    async def _put_away(self) -> None:
        if self._ended and not self._appender.trouble():
            await self._flush()
            ended, self._ended = self._ended, {}
            with suppress(OSError):  # they keep files of their own
                await trio.to_thread.run_sync(self._kept.put_away, ended, self._kernel.bus.number)

    async def replay(self, since: int, until: int) -> list[Batch]:
        """Return what the transcripts have of the events after one number up to another."""
        await self._flush()
        folder = self._appender.folder / "sessions"
        return await trio.to_thread.run_sync(replay, folder, max(since, 0), until, abandon_on_cancel=True)

    async def check(self, caller: Caller, handle: str) -> None:
        """Raise `Refused` when the caller, or the agent for which it acts, sees only its own, and this is another's."""
        if not await sees(self._kernel, caller, [agent_id := self._id(handle)]):
            raise Refused(blind(f"what {self._kernel.roster.label(agent_id)} says and does"))

    async def recent(self, handle: str, turns: int, most: float = inf) -> str:
        """Return what an agent read, said and did in its last turns as text, oldest first, of `most` bytes at most."""
        events = await self._read(handle, turns, most)
        label = self._kernel.roster.label(self._id(handle))
        return turns_text(events, self._envelope) or f"{label} has not had a turn yet"

    async def last_words(self, handle: str) -> str:
        """Return what an agent said last in its last turn, even if aegis died in the middle of that."""
        return last_words(await self._read(handle, 1))

    async def newest(self, handle: str, count: int) -> list[RecordedEvent]:
        """Return the newest events of an agent, or of all that are alive, oldest first."""
        ids = [self._id(handle)] if handle else [agent.id for agent in self._kernel.roster]
        handles = {agent_id: self._kernel.roster.label(agent_id) for agent_id in ids}
        await self._flush()
        return await trio.to_thread.run_sync(self._ends, handles, count)

    def _ends(self, handles: dict[str, str], count: int) -> list[RecordedEvent]:
        found = []
        for agent_id, handle in handles.items():
            for line in last_lines(self._kept.lines(agent_id), count, _TAIL):
                with suppress(msgspec.ValidationError):
                    row = msgspec.convert(line, _Line)
                    found.append(RecordedEvent(row.aegis_ts, agent_id, handle, row.event))
        return sorted(found, key=lambda event: event.at)[-count:]

    async def _read(self, handle: str, turns: int, most: float = inf) -> list[Event]:
        """Return everything an agent, named by its id or its handle, said in its last turns."""
        agent_id = self._id(handle)
        await self._flush()

        def read() -> list[Event]:  # they may be long
            return last_turns(self._kept.lines(agent_id), turns, most)

        return await trio.to_thread.run_sync(read)

    def _id(self, handle: str) -> str:
        roster = self._kernel.roster
        is_id = handle.isalnum() and handle not in roster.known() and (roster.born(handle) or self._kept.has(handle))
        return handle if is_id else roster.find(handle).id

    def _envelope(self, envelope_id: str) -> Envelope:
        return self._kernel.post.find(envelope_id)[0]
