"""What aegis-queue offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `queues`."""
    from aegis_queue.settings import Section  # noqa: PLC0415 - entry modules stay light

    return {"queues": Section}


@hookimpl
def aegis_interceptors(kernel: Kernel) -> list[Interceptor]:
    """Tell workers what they are for."""
    from aegis_queue.primer import WorkerPrimer  # noqa: PLC0415 - the same

    return [WorkerPrimer(kernel)]


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Offer queues and their tasks, kept in the kernel's own ledger; raises `ConfigError` for one without a profile."""
    from aegis_queue.brokers import Brokers  # noqa: PLC0415 - the same
    from aegis_queue.dispatcher import Dispatcher  # noqa: PLC0415
    from aegis_queue.queue_verbs import QueueVerbs  # noqa: PLC0415
    from aegis_queue.store import LedgerBroker  # noqa: PLC0415
    from aegis_queue.task_verbs import TaskVerbs  # noqa: PLC0415

    brokers = Brokers("ledger")
    brokers.offered.add("ledger", LedgerBroker())
    dispatcher = Dispatcher(kernel, brokers)
    dispatcher.check()
    return [QueueVerbs(kernel, dispatcher), TaskVerbs(kernel, dispatcher)]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each queue."""
    return [("queue", "queues/{queue}.jsonl")]
