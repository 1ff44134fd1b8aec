"""A real terminal for tests: a tmux server of the test's own, with one window."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from aegis_trust.trust import FOLDERS

STAGE = Path(__file__).with_name("repl_stage.py")


class Terminal:
    """Types keys and reads the screen; what is waited for is looked for until a deadline."""

    def __init__(self, folder: Path, columns: int = 100, rows: int = 30) -> None:
        self._socket, self._folder = folder / "tmux", folder
        self._environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        self._environment |= {
            "HOME": str(folder),
            FOLDERS: str(folder),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/sh",
            "TERM": "xterm",
            "PS1": "shell> ",
        }
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh")
        self.tmux("set", "-s", "escape-time", "0")
        self.wait("shell>")
        self._asked, self._modes = 0, ""
        assert self.sane()

    def tmux(self, *arguments: str) -> str:
        """Return what tmux says to a command."""
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(
            command, env=self._environment, cwd=self._folder, capture_output=True, text=True, check=True
        ).stdout

    def start(self, *arguments: str) -> None:
        """Run the stage in the terminal."""
        self.type(
            shlex.join([sys.executable, str(STAGE), str(self._folder), *arguments]) + "; echo left with $?", "Enter"
        )

    def type(self, text: str = "", *keys: str) -> None:
        """Type the text, then press the keys, by tmux's names for them."""
        if text:
            self.tmux("send-keys", "-l", text)
        for key in keys:
            self.tmux("send-keys", key)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, scrollback: bool = False) -> str:
        """Return what the terminal shows, with everything above it if asked."""
        return self.tmux("capture-pane", "-p", *(("-S", "-") if scrollback else ()))

    def wait(self, *patterns: str, gone: bool = False, seconds: float = 15) -> str:
        """Return the screen once all patterns are on it at once (with `gone`: none is); fail, showing it, if never.

        A screen may be read while it is being drawn: what a test expects together is waited for together.
        """
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen()
            missing = [one for one in patterns if bool(re.search(one, screen, re.MULTILINE)) == gone]
            if not missing:
                return screen
            assert time.monotonic() < deadline, f"{missing} {'stays' if gone else 'never came'}:\n{screen}"
            time.sleep(0.05)

    def sane(self) -> bool:
        """Return whether the terminal is in the modes it had before anything ran, once the shell is back."""
        self._asked += 1
        self.type(f"echo modes {self._asked} $(stty -g)", "Enter")
        found = re.search(
            rf"^modes {self._asked} ([0-9a-f:]+)$", self.wait(rf"^modes {self._asked} \S+$"), re.MULTILINE
        )
        modes = found[1] if found else ""
        self._modes = self._modes or modes
        return modes == self._modes

    def close(self) -> None:
        """End the server and everything in it."""
        self.tmux("kill-server")
