"""What stands at the gate when the budgets could not be opened: nothing begins, and everybody is told why."""

from __future__ import annotations

from typing import Any

from aegis import Refused


class Shut:
    """Refuses every turn: a cap that cannot be held must not be taken for one that is."""

    name = "budget"
    strict = True

    def __init__(self, why: str) -> None:
        self._why = why

    async def before_turn(self, turn: Any) -> None:
        """Refuse it."""
        raise Refused(f"there are budgets, and aegis-budget could not start ({self._why}); mend that, or take them out")
