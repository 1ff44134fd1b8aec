"""Dice."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from aegis import Caller, verb


@dataclass(frozen=True)
class Roll:
    """What the dice show."""

    thrown_by: str
    eyes: list[int]
    total: int


class Dice:
    """A cup of dice."""

    name = "dice"

    @verb("dice roll", read_only=True)
    async def roll(
        self,
        caller: Caller,
        count: Annotated[int, Field(ge=1, le=100, description="how many dice")] = 1,
        sides: Annotated[int, Field(ge=1, description="how many sides each has")] = 6,
    ) -> Roll:
        """Throw dice and say what they show."""
        eyes = [random.randint(1, sides) for _ in range(count)]
        return Roll(str(caller), eyes, sum(eyes))
