"""What aegis-retention offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `keep`."""
    from aegis_retention.settings import Keep  # noqa: PLC0415 - entry modules stay light

    return {"keep": Keep}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer compaction, and do it once a day where the settings say so."""
    from aegis_retention.service import Retention  # noqa: PLC0415 - the same
    from aegis_retention.verbs import RetentionVerbs  # noqa: PLC0415

    retention = Retention(kernel, settings)
    return [retention, RetentionVerbs(kernel, retention)]
