"""What acme-aegis-dice offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Primitive


@hookimpl
def aegis_primitives() -> list[Primitive]:
    """Offer dice."""
    from acme_aegis_dice.dice import Dice  # noqa: PLC0415 - entry modules stay light

    return [Dice()]
