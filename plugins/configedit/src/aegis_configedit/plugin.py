"""What aegis-configedit offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Offer the verbs of the configuration, and the watch on its files."""
    from aegis_configedit.service import Watch  # noqa: PLC0415 - entry modules stay light
    from aegis_configedit.verbs import ConfigVerbs  # noqa: PLC0415

    return [ConfigVerbs(kernel), Watch(kernel)]
