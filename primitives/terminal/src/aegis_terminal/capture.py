"""The output of one command: its beginning and its end, up to a limit."""

from __future__ import annotations

import re
from collections import deque

from aegis_terminal.plain_text import plain
from aegis_terminal.secrets import Secrets
from aegis_terminal.values import HALF

_RAW = 65_536  # bytes of each: more than characters are kept, since colours are not text
_SHORT = 4_096  # bytes
_DRAWING = 2.0  # seconds of computing that making text of it may take, in a thread
_TRACE = re.compile(rb"[^\r\n]*__aegis_\w+\r?\n\Z")  # `set -x` names the function that says that the command has ended
_FILLED = re.compile(rb"(?:(?:\x1b\[[0-9;]*m)*[%#](?:\x1b\[[0-9;]*m)*)? {20,}\r ?\r?\Z")  # zsh's mark of a cut line


class Capture:
    """The output of a run, which may be of any length."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all output."""
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._size = self._dropped = 0

    def feed(self, data: bytes) -> None:
        """Take new output."""
        if (room := _RAW - len(self._head)) > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._size += len(data)
            while self._size - len(self._tail[0]) >= _RAW:
                gone = len(self._tail.popleft())
                self._size -= gone
                self._dropped += gone

    @property
    def short(self) -> bool:
        """True when making it text takes less time than starting a thread."""
        return not self._size and len(self._head) <= _SHORT

    def text(self, secrets: Secrets) -> str:
        """Return it as plain text without secrets, a long one without its middle; this may take a second."""
        tail = b"".join(self._tail)
        if not self._dropped:
            return _shortened(secrets.cut(plain(_trimmed(bytes(self._head) + tail), _DRAWING)))
        begin = tail.find(b"\n") + 1  # half a line, escape sequence or secret is not shown
        begin = begin if 0 < begin <= len(tail) // 2 else 0
        whole = self._head.rfind(b"\n") + 1 or len(self._head)
        head = secrets.cut(plain(bytes(self._head[:whole]), _DRAWING))
        end = secrets.cut(plain(_trimmed(tail[begin:]), _DRAWING))
        cut = self._dropped + begin + len(self._head) - whole
        return f"{head[:HALF]}\n… ({cut:,} bytes left out) …\n{end[-HALF:]}"


def _trimmed(data: bytes) -> bytes:
    """Return the output without what the shell itself printed at its end."""
    return data[:-4096] + _FILLED.sub(b"", _TRACE.sub(b"", data[-4096:]))


def _shortened(text: str) -> str:
    if len(text) <= 2 * HALF:
        return text
    return f"{text[:HALF]}\n… ({len(text) - 2 * HALF:,} characters left out) …\n{text[-HALF:]}"
