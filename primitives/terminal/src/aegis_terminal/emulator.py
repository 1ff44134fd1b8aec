"""A screen as a person would see it, drawn only when somebody looks."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyte
from pyte.screens import wcwidth

from aegis_terminal.secrets import Secrets

_MOST = 131_072  # bytes that wait for somebody to look; of more, the newest half
_SEQUENCES = re.compile(r"(\x1b\[[^@-~\x1b]*[@-~])")
_WIDE, _TALL = 4_096, 24
_SWITCH = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
_BEGUN = re.compile(rb"\x1b(?:\[\??[0-9;]{0,20})?\Z")


class Look(NamedTuple):
    """The lines of a screen, where the cursor is (from 0), and whether a program has the whole screen."""

    lines: list[str]
    row: int
    column: int
    whole: bool
    width: int

    def masked(self, secrets: Secrets) -> list[str]:
        """Return the lines with stars for secrets, also for one that goes on in the next line."""
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


def fed(stream: pyte.Stream, text: str) -> None:
    """Draw the text; a sequence the emulator has a fault with is passed over, and nothing is drawn twice."""
    for sequence in _SEQUENCES.split(text):
        try:
            stream.feed(sequence)
        except Exception:  # noqa: BLE001 - garbage may end in any error of the emulator's
            continue


class Glass(pyte.Screen):
    """pyte's screen, which forgets what comes after a character that takes no place: those are left out."""

    def draw(self, data: str) -> None:
        """Draw what can be seen."""
        if not data.isascii():
            data = "".join(c for c in data if wcwidth(c) > 0 or unicodedata.combining(c))
        super().draw(data)


class Paper(Glass):
    """A screen so wide that no line is broken; its lines go to `past` when they leave it."""

    def __init__(self) -> None:
        self.past: deque[str] = deque()
        super().__init__(_WIDE, _TALL)

    def index(self) -> None:
        """Go to the next line."""
        if self.cursor.y == self.lines - 1 and not self.margins:
            self.past.append(line_of(self.buffer[0]))
        super().index()

    def text(self) -> str:
        """Return everything that is written on it."""
        last = max(self.cursor.y, max((y for y, row in self.buffer.items() if line_of(row)), default=0))
        return "\n".join([*self.past, *(line_of(self.buffer[y]) for y in range(last + 1))])


class Emulator:
    """One terminal's screen. `feed` and `resize` cost nothing; `look` draws what has come since: that takes a while."""

    def __init__(self, rows: int, columns: int) -> None:
        self._size = rows, columns
        self._main, self._other = self._fresh(), self._fresh()
        self._alternate = False
        self._waiting = bytearray()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def _fresh(self) -> tuple[Glass, pyte.Stream]:
        rows, columns = self._size
        screen = Glass(columns, rows)
        return screen, pyte.Stream(screen)

    def feed(self, data: bytes) -> None:
        """Take the bytes, to be drawn when somebody looks."""
        self._waiting += data
        if len(self._waiting) > _MOST:
            cut = self._waiting.find(b"\n", len(self._waiting) - _MOST // 2) + 1 or len(self._waiting) - _MOST // 2
            switches = _SWITCH.findall(self._waiting, 0, cut)
            self._waiting[:cut] = b"\x1b[?1049" + switches[-1] if switches else b""

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of what is drawn from now on."""
        self._size = rows, columns

    def pending(self) -> bytes:
        """Return what is to be drawn, and forget it."""
        data, self._waiting = bytes(self._waiting), bytearray()
        if begun := _BEGUN.search(data, max(0, len(data) - 24)):
            data, self._waiting = data[: begun.start()], bytearray(data[begun.start() :])
        return data

    def look(self, pending: bytes) -> Look:
        """Draw what is pending and return what a person would see now."""
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
        fed((self._other if self._alternate else self._main)[1], self._decode(data))

    def _switch(self, alternate: bool) -> None:
        if alternate and not self._alternate:
            self._other = self._fresh()
        self._alternate = alternate
