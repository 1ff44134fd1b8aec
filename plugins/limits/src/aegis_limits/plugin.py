"""What aegis-limits offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `limits`."""
    from aegis_limits.settings import LimitsSettings  # noqa: PLC0415 - entry modules stay light

    return {"limits": LimitsSettings}


@hookimpl
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Hold everybody to the limits, and the post to those of mailboxes and turns."""
    from aegis.mailbox import Caps  # noqa: PLC0415 - the same
    from aegis_limits.population import Population  # noqa: PLC0415 - the same
    from aegis_limits.rates import Rates  # noqa: PLC0415 - the same
    from aegis_limits.things import Things  # noqa: PLC0415 - the same

    def caps() -> Caps:
        now = settings["limits"]
        return Caps(now.mailbox_letters, now.mailbox_bytes, now.turn_bytes)

    kernel.post.caps.add("mail", caps)
    return [Rates(kernel, settings), Things(kernel, settings), Population(kernel, settings)]
