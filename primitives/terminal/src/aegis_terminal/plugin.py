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
    """Offer terminals: open and use them, see what happens in them."""
    from aegis_terminal.control_verbs import ControlVerbs  # noqa: PLC0415 - the same
    from aegis_terminal.policy import Policy  # noqa: PLC0415
    from aegis_terminal.service import TerminalService  # noqa: PLC0415
    from aegis_terminal.view_verbs import ViewVerbs  # noqa: PLC0415

    service = TerminalService(kernel, settings)
    policy = Policy(kernel, settings, service.secrets)
    return [service, ControlVerbs(kernel, service, policy, settings), ViewVerbs(kernel, service)]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each terminal."""
    return [("terminal", "terminals/{terminal}/ledger.jsonl")]
