"""What aegis-canvas offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `plugins.canvas`."""
    from aegis_canvas.settings import CanvasSettings  # noqa: PLC0415 - entry modules stay light

    return {"plugins.canvas": CanvasSettings}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer canvases: the documents, writing in them, their history, and the watch on their files."""
    from aegis_canvas.access import Access  # noqa: PLC0415 - the same
    from aegis_canvas.canvas_verbs import CanvasVerbs  # noqa: PLC0415
    from aegis_canvas.history_verbs import HistoryVerbs  # noqa: PLC0415
    from aegis_canvas.notifier import Notifier  # noqa: PLC0415
    from aegis_canvas.section_verbs import SectionVerbs  # noqa: PLC0415
    from aegis_canvas.seen import Seen  # noqa: PLC0415
    from aegis_canvas.service import CanvasService  # noqa: PLC0415
    from aegis_canvas.store import Store  # noqa: PLC0415
    from aegis_canvas.teller import Teller  # noqa: PLC0415
    from aegis_canvas.watcher import Watcher  # noqa: PLC0415
    from aegis_canvas.writer import Writer  # noqa: PLC0415

    store, seen, access = Store(kernel), Seen(), Access(kernel, settings)
    notifier = Notifier(kernel, store)
    teller = Teller(store, notifier)
    writer = Writer(kernel, store, notifier, teller, settings)
    watcher = Watcher(kernel, store, writer)
    service = CanvasService(kernel, store, writer, seen, watcher, teller)
    kernel.interceptors.add(service)
    return [
        service,
        CanvasVerbs(kernel, store, writer, seen, watcher, access),
        SectionVerbs(kernel, store, writer, seen, access),
        HistoryVerbs(store, writer, access),
    ]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each canvas."""
    return [("canvas", "canvases/{canvas}/ledger.jsonl")]
