"""What aegis-group offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `groups`."""
    from aegis_group.settings import GroupSettings  # noqa: PLC0415 - entry modules stay light

    return {"groups": GroupSettings}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer groups, and questions to them."""
    from aegis_group.broadcast_verbs import BroadcastVerbs  # noqa: PLC0415 - the same
    from aegis_group.collector import Collector  # noqa: PLC0415
    from aegis_group.group_verbs import GroupVerbs  # noqa: PLC0415
    from aegis_group.membership import Membership  # noqa: PLC0415
    from aegis_group.service import GroupService  # noqa: PLC0415
    from aegis_group.store import Store  # noqa: PLC0415

    store = Store(kernel)
    membership, collector = Membership(kernel, store), Collector(kernel, store)
    kernel.interceptors.add(membership)
    return [
        GroupService(kernel, store, membership, collector),
        GroupVerbs(kernel, store, membership, settings),
        BroadcastVerbs(kernel, store, collector, membership, settings),
    ]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each group."""
    return [("group", "groups/{group_name}.jsonl")]
