"""Delivering the messages that steps of tasks cause, where the broker keeps them apart from the kernel's mail."""

from __future__ import annotations

from aegis import Kernel, Refused
from aegis_queue.broker import Broker


async def send(kernel: Kernel, broker: Broker, task_id: str = "") -> str:
    """Deliver the outbox, of one task or whole, and return why a message was refused, if one was.

    Doing it again, also after a crash, delivers nothing twice: mail knows each envelope by its id.
    """
    why = ""
    for outgoing in await broker.unsent(task_id):
        refused = ""
        try:
            await kernel.post.deliver(outgoing.envelope)
        except Refused as refusal:  # its recipient is gone
            why = refused = str(refusal)
        await broker.sent(outgoing, refused)
    return why
