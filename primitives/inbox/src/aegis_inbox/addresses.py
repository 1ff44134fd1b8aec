"""What a sender may write in place of a handle: the address of mail that a plugin carries out of this kernel."""

from __future__ import annotations

from collections.abc import Collection

from aegis.errors import NotFound, listed
from aegis.outbox import carried_kind


def outside(target: str, carriers: Collection[str]) -> str:
    """Return the address for `kind:name` or `name@peer`, empty for a handle; raises `NotFound` if uncarried."""
    address = f"peer:{target}" if "@" in target and ":" not in target else target
    kind = carried_kind(address)
    if kind == "agent" or ":" not in address:
        return ""
    if kind and kind not in carriers:
        there = listed((f"{known}:…" for known in carriers), "none")
        raise NotFound(f"nothing here carries mail to {target!r} (addresses that are carried: {there})")
    return address
