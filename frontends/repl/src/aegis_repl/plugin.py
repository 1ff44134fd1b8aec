"""The REPL as a console; everything heavy is loaded when a person sits down at it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis.frontend import Client

NO_TERMINAL = "the REPL needs a terminal on both ends; in scripts use `aegis send HANDLE TEXT --wait`"


class ReplConsole:
    """One person at a terminal."""

    name = "repl"

    async def attach(self, client: Client) -> int:
        """Serve the person at this terminal until they quit; the terminal is then as it was found."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            sys.stderr.write(NO_TERMINAL + "\n")
            return 2
        from aegis_repl.repl import Repl  # noqa: PLC0415  prompt_toolkit costs 80 ms, which `aegis --help` must not pay

        return await Repl(client).run()


@hookimpl
def aegis_consoles() -> list[ReplConsole]:
    """Return the console."""
    return [ReplConsole()]
