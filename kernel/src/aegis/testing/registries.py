"""What a kernel's registries hold, and whose it is: after any coming and going it is as at a fresh start."""

from __future__ import annotations

from typing import Any

from aegis.app import Kernel


def owners(kernel: Kernel) -> dict[str, Any]:
    """Return every registered thing with its owner; two kernels with the same plugins give the same."""
    held: dict[str, Any] = {f"{r.what}s": r.owners() for r in kernel.plugins.registries()}
    tasks = kernel.supervisor.children.values()
    return held | {
        "hooks": kernel.plugins.found.hooks(),
        "interceptors": [(h.owner, type(h.interceptor).__name__) for h in kernel.interceptors.held],
        "ledger listeners": sorted(whose for whose, _, _ in kernel.ledger.owners),
        "tasks": sorted((task.owner, task.name) for task in tasks if not task.name.startswith("agent:")),
        "subscriptions": len(kernel.bus.subscriptions),
        "plugins": kernel.plugins.names,
        "remarks": kernel.config.remarks,
    }
