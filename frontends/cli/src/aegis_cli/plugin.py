"""What aegis-cli offers: the control socket by which every shell and REPL of the user reaches the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Service


@hookimpl
def aegis_frontends(kernel: Kernel) -> list[Service]:
    """Serve the control socket."""
    from aegis_cli.service import ControlSocket  # noqa: PLC0415 - entry modules stay light

    return [ControlSocket(kernel)]
