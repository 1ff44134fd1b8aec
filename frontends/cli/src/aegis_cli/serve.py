"""`aegis serve`: the kernel without a screen. A signal is a request to stop from the first moment on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from aegis_cli.shell import Shell, own_parser
from aegis_cli.signals import take_over

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(shell: Shell, words: Sequence[str]) -> int:
    """Be the project's kernel until a signal or `aegis stop` ends it."""
    parser = own_parser("serve")
    parser.add_argument("--clean", action="store_true", help="close the agents of the last time first")
    parser.add_argument("--trust", action="store_true", help="trust the project as it is: for scripts")
    given = vars(parser.parse_args(words))
    ignored = take_over()
    stop = [number for number in _STOP if number not in ignored]
    for number in stop:
        signal.signal(number, lambda *_: sys.exit(0))
    import_module("aegis_cli.serving").serve(
        shell.with_options(given), stop, clean=given.get("clean", False), trust=given.get("trust", False)
    )
    return 0
