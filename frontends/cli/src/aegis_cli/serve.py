"""`aegis serve`: the kernel without a screen. A signal is a request to stop from the first moment on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from aegis_cli.shell import Shell, own_parser

STOP = tuple(
    s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is not signal.SIG_IGN
)  # a signal that our parent ignores (`nohup`, a script's `&`) stays ignored


def run(shell: Shell, words: Sequence[str]) -> int:
    """Be the project's kernel until a signal or `aegis stop` ends it."""
    parser = own_parser("serve")
    parser.add_argument("--clean", action="store_true", help="close the agents of the last time first")
    given = vars(parser.parse_args(words))
    for number in STOP:
        signal.signal(number, lambda *_: sys.exit(0))
    if (
        signal.SIGINT not in STOP
    ):  # ignored by us only: what is ignored is inherited, and Ctrl-C must reach a shared shell
        signal.signal(signal.SIGINT, lambda *_: None)
    import_module("aegis_cli.serving").serve(shell.with_options(given), STOP, clean=given.get("clean", False))
    return 0
