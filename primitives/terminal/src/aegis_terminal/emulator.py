"""A screen as a person would see it, drawn only when it is read."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Mapping
from time import thread_time
from typing import Any, NamedTuple

import pyte
from pyte.screens import wcwidth

from aegis_terminal.secrets import Secrets

_MOST = 131_072  # bytes that wait until the screen is read; of more, the newest half is kept
_SEQUENCES = re.compile(r"(\x1b\[[^@-~\x1b]*[@-~])")
_WIDE, _TALL = 4_096, 24
_PIECE = 512  # characters that are drawn between two looks at the clock
_DRAWING = 2.0  # seconds of computing that a look at the screen may take
_SWITCH = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
_BEGUN = re.compile(rb"\x1b(?:\[\??[0-9;]{0,20})?\Z")


class Look(NamedTuple):
    """The lines of a screen, the place of the cursor (from 0), and whether a program uses the whole screen."""

    lines: list[str]
    row: int
    column: int
    whole: bool
    width: int

    def masked(self, secrets: Secrets) -> list[str]:
        """Return the lines with stars in place of secrets, also of one that goes on in the next line."""
        text = "".join(line if len(line) >= self.width else f"{line}\n" for line in self.lines)
        masked, at, lines = secrets.masked(text), 0, []
        for line in self.lines:
            lines.append(masked[at : at + len(line)])
            at += len(line) + (len(line) < self.width)
        return lines


def line_of(row: Mapping[int, Any]) -> str:
    """Return a row of the emulator's buffer as text."""
    if not row:
        return ""
    return "".join(row[x].data for x in range(max(row) + 1)).rstrip()


def fed(stream: pyte.Stream, text: str, seconds: float) -> bool:
    """Draw the text; a sequence that makes the emulator fail is skipped, and nothing is drawn twice.

    False when it takes more than so many seconds of computing; the rest is not drawn then.
    """
    end = thread_time() + seconds
    for sequence in _SEQUENCES.split(text):
        for at in range(0, len(sequence), _PIECE):
            if thread_time() > end:
                return False
            try:
                stream.feed(sequence[at : at + _PIECE])
            except Exception:  # noqa: BLE001 - garbage may end in any error of the emulator's
                continue
    return True


class Screen(pyte.Screen):
    """pyte's screen; characters without a width are left out, since pyte drops all that follows one."""

    def alignment_display(self) -> None:
        """Draw nothing: three bytes of this order fill the whole screen, and nobody adjusts a tube any more."""

    def draw(self, data: str) -> None:
        """Draw the visible characters."""
        if not data.isascii():
            data = "".join(c for c in data if wcwidth(c) > 0 or unicodedata.combining(c))
        super().draw(data)


class WideScreen(Screen):
    """A screen so wide that no line is broken; lines that scroll off it are kept in `scrolled`."""

    def __init__(self) -> None:
        self.scrolled: deque[str] = deque()
        super().__init__(_WIDE, _TALL)

    def index(self) -> None:
        """Go to the next line."""
        if self.cursor.y == self.lines - 1 and not self.margins:
            self.scrolled.append(line_of(self.buffer[0]))
        super().index()

    def text(self) -> str:
        """Return everything that is written on it."""
        last = max(self.cursor.y, max((y for y, row in self.buffer.items() if line_of(row)), default=0))
        return "\n".join([*self.scrolled, *(line_of(self.buffer[y]) for y in range(last + 1))])


class Emulator:
    """The screen of one terminal. `feed` and `resize` take no time; `look` draws what is new, which takes a while."""

    def __init__(self, rows: int, columns: int) -> None:
        self._size = rows, columns
        self._main, self._other = self._fresh(), self._fresh()
        self._alternate = False
        self._waiting = bytearray()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def _fresh(self) -> tuple[Screen, pyte.Stream]:
        rows, columns = self._size
        screen = Screen(columns, rows)
        return screen, pyte.Stream(screen)

    def feed(self, data: bytes) -> None:
        """Take the bytes, to be drawn when the screen is read."""
        self._waiting += data
        if len(self._waiting) > _MOST:
            cut = self._waiting.find(b"\n", len(self._waiting) - _MOST // 2) + 1 or len(self._waiting) - _MOST // 2
            switches = _SWITCH.findall(self._waiting, 0, cut)
            self._waiting[:cut] = b"\x1b[?1049" + switches[-1] if switches else b""

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of what is drawn from now on."""
        self._size = rows, columns

    def pending(self) -> bytes:
        """Return the bytes that are to be drawn, and forget them."""
        data, self._waiting = bytes(self._waiting), bytearray()
        if begun := _BEGUN.search(data, max(0, len(data) - 24)):
            data, self._waiting = data[: begun.start()], bytearray(data[begun.start() :])
        return data

    def look(self, pending: bytes) -> Look:
        """Draw the pending bytes and return the screen."""
        for screen, _ in (self._main, self._other):
            if (screen.lines, screen.columns) != self._size:
                screen.resize(*self._size)
                screen.ensure_vbounds()
                screen.ensure_hbounds()
        at = 0
        for match in _SWITCH.finditer(pending):
            self._draw(pending[at : match.start()])
            self._switch(match[1] == b"h")
            at = match.end()
        self._draw(pending[at:])
        screen = (self._other if self._alternate else self._main)[0]
        lines = [line_of(screen.buffer[y]) for y in range(screen.lines)]
        return Look(lines, screen.cursor.y, min(screen.cursor.x, screen.columns - 1), self._alternate, screen.columns)

    def _draw(self, data: bytes) -> None:
        fed((self._other if self._alternate else self._main)[1], self._decode(data), _DRAWING)

    def _switch(self, alternate: bool) -> None:
        if alternate and not self._alternate:
            self._other = self._fresh()
        self._alternate = alternate
