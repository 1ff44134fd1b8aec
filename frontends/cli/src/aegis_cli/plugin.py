"""What aegis-cli offers: the control socket by which every shell and REPL of the user reaches the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Service


@hookimpl
def aegis_settings() -> Mapping[str, Any]:
    """Own `plugins.cli`."""
    from aegis_cli.settings import SECTION, ControlSettings  # noqa: PLC0415 - entry modules stay light

    return {SECTION: ControlSettings}


@hookimpl
def aegis_frontends(kernel: Kernel, settings: Mapping[str, Any]) -> list[Service]:
    """Serve the control socket."""
    from aegis_cli.service import ControlSocket  # noqa: PLC0415 - the same

    return [ControlSocket(kernel, settings)]
