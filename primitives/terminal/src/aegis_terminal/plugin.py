"""What aegis-terminal offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `plugins.terminal`."""
    from aegis_terminal.settings import TerminalSettings  # noqa: PLC0415 - entry modules stay light

    return {"plugins.terminal": TerminalSettings}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer terminals: acting in them, and looking on."""
    from aegis_terminal.acting import Acting  # noqa: PLC0415 - the same
    from aegis_terminal.desk import Desk  # noqa: PLC0415
    from aegis_terminal.looking import Looking  # noqa: PLC0415
    from aegis_terminal.policy import Gate  # noqa: PLC0415

    wanted = settings["plugins.terminal"]
    desk = Desk(kernel, wanted)
    return [desk, Acting(kernel, desk, Gate(kernel, wanted.policy, desk.secrets), wanted), Looking(kernel, desk)]
