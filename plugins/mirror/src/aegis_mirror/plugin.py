"""What aegis-mirror offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Mirror every book from now on, and offer to write the mirror anew."""
    from aegis_mirror.mirror import Mirror  # noqa: PLC0415 - entry modules stay light

    return [Mirror(kernel)]
