"""What an agent is told of its former session when its CLI cannot go on with it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from aegis import Kernel
from aegis.envelope import indented
from aegis.events import TurnEnded
from aegis_records.service import Transcripts

if TYPE_CHECKING:
    from aegis.agent import Agent
    from aegis.turn import Turn

_TURNS, _LONGEST = 20, 40_000  # turns and characters that are told, the newest
_READ = 2**22  # bytes of the transcript among which they are looked for
_BEFORE = """\
[aegis: your session was lost and this is a new one. What follows, up to the line that says so, is the record of what \
you last read, said and did. Do not answer it and do none of its work again.]"""
_AFTER = "[aegis: end of the record]"


class Recall:
    """Puts the last turns before the first prompt of a new session that an old agent has."""

    name = "recall"
    order = -10  # before anyone who looks at the prompt as it will be sent

    def __init__(self, kernel: Kernel, transcripts: Transcripts) -> None:
        self._kernel, self._transcripts = kernel, transcripts
        self._owed: dict[str, str] = {}

    def agent_started(self, agent_id: str) -> Awaitable[None] | None:
        """Have the agent told, if it had turns that its session does not know of."""
        agent = self._kernel.roster.get(agent_id)
        self._owed.pop(agent_id, None)
        return self._read(agent) if agent and agent.began == "restarted" else None

    async def _read(self, agent: Agent) -> None:
        record = await self._transcripts.recent(agent.id, _TURNS, _READ)
        self._owed[agent.id] = f"… {record[-_LONGEST:]}" if len(record) > _LONGEST else record
        agent.began = "restarted with transcript"

    def before_turn(self, turn: Turn) -> None:
        """Tell it, unless the prompt is a command for the CLI itself."""
        record = self._owed.get(turn.agent_id)
        if record and not turn.prompt.startswith("/"):
            turn.prompt = f"{_BEFORE}\n{indented(record.replace(_AFTER, ''))}\n{_AFTER}\n\n{turn.prompt}"

    def after_turn(self, turn: Turn, ended: TurnEnded) -> None:
        """Do not tell it again once it has been told."""
        if turn.begun.is_set() and _AFTER in turn.prompt:
            self._owed.pop(turn.agent_id, None)

    def agent_closed(self, agent_id: str) -> None:
        """Forget an agent that is gone."""
        self._owed.pop(agent_id, None)
        self._transcripts.closed(agent_id)
