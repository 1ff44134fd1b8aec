"""Decisions of the project: recorded once, read by every agent and person."""

from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, Kernel, Refused, hookimpl, verb


class Decision(msgspec.Struct, frozen=True):
    """One decision, as lists show it."""

    number: int
    who: str
    text: str


class Decisions:
    """The verbs; the book `decisions` of the ledger keeps what they record."""

    name = "decisions"

    def __init__(self, kernel: Kernel) -> None:
        self._book = kernel.ledger.book("decisions")
        self._made: list[Decision] = []

    def restore(self) -> None:
        """Read the book, before anything runs."""
        _, records = self._book.replay()
        self._made = [Decision(n, record.key, record.data["text"]) for n, record in enumerate(records, 1)]

    @verb("decision record")
    async def record(
        self, caller: Caller, text: Annotated[str, Field(max_length=500, description="what was decided, in a sentence")]
    ) -> str:
        """Record a decision for everybody who works on this project.

        For agents: call aegis_decision_list first, so that nothing is decided twice.
        """
        if any(made.text == text for made in self._made):
            raise Refused("this was decided before: `decision list` shows it")
        await self._book.append("recorded", str(caller), text=text)
        self._made.append(Decision(len(self._made) + 1, str(caller), text))
        return f"decision {len(self._made)} is recorded"

    @verb("decision list", read_only=True)
    async def newest(
        self, caller: Caller, count: Annotated[int, Field(ge=1, description="how many, from the newest")] = 20
    ) -> list[Decision]:
        """List the newest decisions, oldest first."""
        return self._made[-count:]


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Decisions]:
    """Offer the verbs."""
    return [Decisions(kernel)]
