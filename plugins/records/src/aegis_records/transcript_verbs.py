"""The verbs on transcripts."""

from __future__ import annotations

from typing import Annotated

import trio
from pydantic import Field

from aegis import Caller, Completes, Envelope, Kernel, verb
from aegis_records.service import Transcripts
from aegis_records.turns_text import last_words, recent_turns

Handle = Annotated[str, Completes("handle"), Field(description="handle of the agent; of one that is gone, its id")]


class TranscriptVerbs:
    """What agents said, for those who want to read it."""

    name = "transcripts"

    def __init__(self, kernel: Kernel, transcripts: Transcripts) -> None:
        self._kernel, self._transcripts = kernel, transcripts

    async def run(self, started: trio.Event) -> None:
        """Have the transcripts written for as long as the kernel lives."""
        await self._transcripts.run(started)

    @verb("transcript", read_only=True, for_={"person", "program"})
    async def transcript(
        self,
        caller: Caller,
        handle: Handle,
        turns: Annotated[int, Field(ge=1, le=100, description="how many turns, counted from the last")] = 1,
    ) -> str:
        """Show what an agent read, said and did in its last turns, oldest first."""
        agent_id, events = await self._transcripts.read(handle)
        text = recent_turns(events, turns, self._envelope)
        return text or f"{self._kernel.roster.label(agent_id)} has not had a turn yet"

    @verb("last-words", read_only=True, for_={"program"})
    async def last_words(self, caller: Caller, handle: Handle) -> str:
        """Return what an agent said last in its last turn, even if aegis died in the middle of that."""
        return last_words((await self._transcripts.read(handle))[1])

    def _envelope(self, envelope_id: str) -> Envelope:
        return self._kernel.post.find(envelope_id)[0]
