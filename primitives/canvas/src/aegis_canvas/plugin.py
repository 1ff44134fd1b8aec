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
    """Offer canvases: the documents, writing in them, their history, and an eye on their files."""
    from aegis_canvas.canvases import Canvases  # noqa: PLC0415 - the same
    from aegis_canvas.history import History  # noqa: PLC0415
    from aegis_canvas.mailing import Mailing  # noqa: PLC0415
    from aegis_canvas.scribe import Scribe  # noqa: PLC0415
    from aegis_canvas.seen import Seen  # noqa: PLC0415
    from aegis_canvas.shelf import Shelf  # noqa: PLC0415
    from aegis_canvas.watch import Watch  # noqa: PLC0415
    from aegis_canvas.writing import Writing  # noqa: PLC0415

    shelf, seen = Shelf(kernel), Seen()
    scribe = Scribe(kernel, shelf, Mailing(kernel, shelf), outside=settings["plugins.canvas"].outside)
    watch = Watch(kernel, shelf, scribe)
    canvases = Canvases(kernel, shelf, scribe, seen, watch)
    kernel.interceptors.add(canvases)
    return [canvases, Writing(kernel, shelf, scribe, seen), History(kernel, shelf, scribe), watch]
