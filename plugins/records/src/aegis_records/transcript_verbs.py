"""The verbs on transcripts."""

from __future__ import annotations

from typing import Annotated

import trio
from pydantic import Field

from aegis import Caller, Completes, verb
from aegis_records.service import RecordedEvent, Transcripts

Handle = Annotated[str, Completes("handle"), Field(description="handle of the agent; of one that is gone, its id")]

Turns = Annotated[int, Field(ge=1, le=100, description="how many turns, counted from the last")]


class TranscriptVerbs:
    """What agents said, for those who want to read it."""

    name = "transcripts"

    def __init__(self, transcripts: Transcripts) -> None:
        self._transcripts = transcripts

    async def run(self, started: trio.Event) -> None:
        """Have the transcripts written for as long as the kernel lives."""
        await self._transcripts.run(started)

    @verb("transcript", read_only=True, for_={"person"})
    async def transcript(self, caller: Caller, handle: Handle, turns: Turns = 1) -> str:
        """Show what an agent read, said and did in its last turns, oldest first."""
        return await self._transcripts.recent(handle, turns)

    @verb("records turns", read_only=True, for_={"program"})
    async def recent_turns(self, caller: Caller, handle: Handle, turns: Turns = 1) -> str:
        """Return what an agent read, said and did in its last turns, for a verb of another plugin."""
        await self._transcripts.check(caller, handle)
        return await self._transcripts.recent(handle, turns)

    @verb("records events", read_only=True, for_={"person", "program"})
    async def events(
        self,
        caller: Caller,
        handle: Annotated[str, Completes("handle"), Field(description="only this agent's; all when not given")] = "",
        count: Annotated[int, Field(ge=1, le=10_000, description="how many at most, counted from the newest")] = 1000,
    ) -> list[RecordedEvent]:
        """List the newest events of agents, oldest first: what they read, did and said."""
        return await self._transcripts.newest(handle, count)

    @verb("last-words", read_only=True, for_={"program"})
    async def last_words(self, caller: Caller, handle: Handle) -> str:
        """Return what an agent said last in its last turn, even if aegis died in the middle of that."""
        await self._transcripts.check(caller, handle)
        return await self._transcripts.last_words(handle)
