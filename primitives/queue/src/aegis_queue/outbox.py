"""Delivering the messages that steps of tasks cause, where the broker keeps them apart from the kernel's mail."""

from __future__ import annotations

from aegis import Envelope, Kernel, Refused
from aegis_queue.broker import Broker


def short_of(envelope: Envelope) -> str:
    """Return what its owner is told of the end of a task when the mailbox has no room for the whole of it."""
    task = envelope.task_id
    if not envelope.status:
        return ""
    return f"Task {task} has ended ({envelope.status}). There is no room here for its result: aegis_task_status has it."


async def send(kernel: Kernel, broker: Broker, task_id: str = "") -> str:
    """Deliver the outbox, of one task or whole, and return why a message was refused, if one was.

    Doing it again, also after a crash, delivers nothing twice: mail knows each envelope by its id.
    """
    why = ""
    for outgoing in await broker.unsent(task_id):
        refused = ""
        try:
            await kernel.post.deliver(outgoing.envelope, short=short_of(outgoing.envelope))
        except Refused as refusal:  # its recipient is gone
            why = refused = str(refusal)
        await broker.sent(outgoing, refused)
    return why
