"""What aegis-queue offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel, Primitive
    from aegis_queue.broker import Broker


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the sections `queues` and `plugins.queue`."""
    from aegis_queue.settings import QueuePluginSettings, Section  # noqa: PLC0415 - entry modules stay light

    return {"queues": Section, "plugins.queue": QueuePluginSettings}


@hookimpl
def aegis_hookspecs() -> object:
    """Publish `aegis_brokers`."""
    from aegis_queue import hookspecs  # noqa: PLC0415 - the same

    return hookspecs


@hookimpl
def aegis_brokers() -> list[Broker]:
    """Keep tasks in the kernel's own ledger."""
    from aegis_queue.store import LedgerBroker  # noqa: PLC0415 - the same

    return [LedgerBroker()]


@hookimpl
def aegis_interceptors(kernel: Kernel) -> list[Interceptor]:
    """Tell workers what they are for."""
    from aegis_queue.primer import WorkerPrimer  # noqa: PLC0415 - the same

    return [WorkerPrimer(kernel)]


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer queues and their tasks; raises `ConfigError` for a queue whose profile is misspelt."""
    from aegis_queue.brokers import Brokers  # noqa: PLC0415 - the same
    from aegis_queue.checks import check, remarks  # noqa: PLC0415
    from aegis_queue.dispatcher import Dispatcher  # noqa: PLC0415
    from aegis_queue.queue_verbs import QueueVerbs  # noqa: PLC0415
    from aegis_queue.task_verbs import TaskVerbs  # noqa: PLC0415

    brokers = Brokers(settings["plugins.queue"].broker)
    kernel.plugins.collect("aegis_brokers", brokers.offered)
    dispatcher = Dispatcher(kernel, settings, brokers)
    check(kernel, dispatcher.queues())
    kernel.config.remarkers.add("queue", lambda: remarks(kernel, dispatcher.queues))
    return [QueueVerbs(kernel, dispatcher), TaskVerbs(kernel, dispatcher)]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each queue."""
    return [("queue", "queues/{queue}.jsonl")]
