"""The signals a process of ours was started with: what is ignored stays ignored, and nothing of it is passed on."""

from __future__ import annotations

import signal

_ASK_TO_END = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def take_over() -> frozenset[signal.Signals]:
    """Return the signals that our parent ignores (`nohup`, a script's `&`): they have no effect on this process.

    What this process starts begins with every signal as the system has it. A shell must hear Ctrl-C, an agent's CLI
    must hear SIGTERM, and an exit code is only told where SIGCHLD is not ignored.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ignored = frozenset(number for number in _ASK_TO_END if signal.getsignal(number) is signal.SIG_IGN)
    for number in ignored:
        signal.signal(number, lambda *_: None)  # a child inherits that a signal is ignored, but no handler
    return ignored
