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
    from aegis_group.broadcasts import Broadcasts  # noqa: PLC0415 - the same
    from aegis_group.members import Members  # noqa: PLC0415
    from aegis_group.roll import Roll  # noqa: PLC0415
    from aegis_group.rounds import Rounds  # noqa: PLC0415
    from aegis_group.shelf import Shelf  # noqa: PLC0415

    shelf = Shelf(kernel)
    roll = Roll(kernel, shelf)
    kernel.interceptors.add(roll)
    members = Members(kernel, shelf, roll, settings["groups"])
    return [members, Broadcasts(kernel, shelf, Rounds(kernel, shelf), roll, settings["groups"])]
