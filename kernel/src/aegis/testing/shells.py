"""The shells a scripted agent starts: each in a session of its own, as the real CLIs do it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress


class Shells:
    """What was started and may still run."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command and return its shell."""
        quiet = subprocess.DEVNULL
        shell = subprocess.Popen(
            ["/bin/sh", "-c", command], start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet
        )
        self._running.append(shell)
        return shell

    def end(self) -> None:
        """Kill what still runs, with all that it started."""
        for shell in self._running:
            with suppress(OSError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        self._running.clear()

    def wait(self) -> None:
        """Wait until nothing runs any more."""
        for shell in self._running:
            shell.wait()
