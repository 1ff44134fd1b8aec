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
    """Tell workers what they are there for."""
    from aegis_queue.hired import Hired  # noqa: PLC0415 - the same

    return [Hired(kernel)]


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Offer queues and their tasks, kept in the kernel's own ledger; raises `ConfigError` for one without a profile."""
    from aegis_queue.desk import Desk  # noqa: PLC0415 - the same
    from aegis_queue.local import LedgerBroker  # noqa: PLC0415
    from aegis_queue.queues import Queues  # noqa: PLC0415
    from aegis_queue.tasks import Tasks  # noqa: PLC0415

    broker = LedgerBroker(kernel)
    desk = Desk(kernel, broker)
    desk.check()
    return [Queues(kernel, broker, desk), Tasks(kernel, broker, desk)]
