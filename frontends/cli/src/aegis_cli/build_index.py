"""Building the index: a kernel is opened once in a temporary folder and asked what it can do."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import trio

from aegis import AegisError, Caller, open_kernel
from aegis.plugins import GROUP
from aegis_cli.index import sources
from aegis_private.runtime import runtime_folder
from aegis_processes.imports import foreground


def build() -> dict[str, Any]:
    """Return the plugins, the verbs a person may use, what failed, and which source files all this came from."""
    points = {p.name: p for p in entry_points(group=GROUP)}
    packages = {Path(str(sys.modules["aegis"].__file__)).parent}
    with runtime_folder("aegis-index", AegisError) as folder:
        foreground.begins()
        try:
            found = trio.run(_asked, folder.path)
        except AegisError as error:  # such as two plugins with a driver of one name: said, and asked again next time
            found = {"verbs": [], "names": [], "failed": {"plugins": str(error)}, "transient": True}
        finally:
            foreground.is_there()
    for point in points.values():
        module = sys.modules.get(point.value.partition(".")[0])
        if module and module.__file__:
            packages.add(Path(module.__file__).parent)
    rows = [
        {
            "name": p.name,
            "value": p.value,
            "distribution": p.dist.name if p.dist else "",
            "version": p.dist.version if p.dist else "",
            "summary": (p.dist.metadata["Summary"] or "") if p.dist else "",
        }
        for p in sorted(points.values(), key=lambda p: p.name)
    ]
    return {"plugins": rows, "sources": sources(sorted(packages)), **found}


async def _asked(folder: Path) -> dict[str, Any]:
    async with open_kernel(folder, environment={}, trusted=True) as kernel:
        verbs = [v.describe() for v in kernel.verbs.visible(Caller("human", "anyone"))]
        failed = {row.name: row.error for row in kernel.plugins.report() if row.state == "failed"}
        failed |= {fault.source: fault.error for fault in kernel.faults if fault.final}
        return {"verbs": verbs, "names": [v.name for v in kernel.verbs], "failed": failed}
