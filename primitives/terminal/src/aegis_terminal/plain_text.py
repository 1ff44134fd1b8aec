"""Output as plain text, as a screen would show it: no colours, rewritten lines as they ended, no line broken."""

from __future__ import annotations

import re

_STRING = re.compile(r"\x1b[\]PX^_][^\x07\x1b]{0,65536}(?:\x07|\x1b\\|\x1b|\Z)")  # OSC, DCS and the like
_ALTERNATE = re.compile(r"\x1b\[\?(?:1049|1047|47)h.*?(?:\x1b\[\?(?:1049|1047|47)l|\Z)", re.DOTALL)
_INERT = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[mhlq]|[()*+][A-Za-z0-9]|[=>])|[\x00\x05\x07\x7f]")  # moves no cursor
_ACTIVE = re.compile(r"[\x08\x0b-\x1f\x80-\x9f]")  # text with any of these needs an emulator
_MOVES = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[@-~]?|.?)", re.DOTALL)  # what is left of sequences when nothing is drawn
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SAID = "[a full-screen program; `term screen` shows it while it runs]"


def plain(data: bytes, seconds: float = 0.25) -> str:
    """Return the text, without what a full-screen program drew on the alternate screen.

    What takes more than so many seconds of computing to draw is returned as it was written, without its sequences.
    """
    text = _STRING.sub("", data.decode(errors="replace"))
    if "\x1b[?" in text:
        text = _ALTERNATE.sub(lambda match: "" if match[0].endswith("l") else _SAID, text)
    simple = _INERT.sub("", text).replace("\r\r\n", "\n").replace("\r\n", "\n")
    if _ACTIVE.search(simple):
        drawn = _drawn(text, seconds)
        simple = _UNSEEN.sub("", _MOVES.sub("", simple) if drawn is None else drawn)
    return simple


def _drawn(text: str, seconds: float) -> str | None:
    import pyte  # noqa: PLC0415 - start-up time: most output needs no emulator

    from aegis_terminal.emulator import WideScreen, fed  # noqa: PLC0415 - it imports pyte

    paper = WideScreen()
    return paper.text() if fed(pyte.Stream(paper), text, seconds) else None
