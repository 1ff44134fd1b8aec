"""What a worker is told about its role before it begins."""

from __future__ import annotations

from aegis import Kernel, Seat
from aegis_queue.job import BY

_ROLE = """\
You are a worker of the queue `{queue}`. Your one task comes as a message with `task#ID`; it is all that you are told.
Nobody reads along: do not ask back unless you cannot go on. Hand in the result with `aegis_report` and end your turn,
or make the result the whole last message of your turn. When the task is over you are gone."""


class WorkerPrimer:
    """Adds the worker's instructions to its primer."""

    name = "worker-primer"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def before_open(self, seat: Seat) -> None:
        """Add a paragraph to the primer of a worker."""
        agent = self._kernel.roster.get(seat.agent_id)
        if agent and agent.by.startswith(BY):
            seat.primer.append(_ROLE.format(queue=agent.by.removeprefix(BY)))
