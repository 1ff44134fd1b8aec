"""Where in the author's code something was raised: without the frames of aegis around and below it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path

import trio

_OURS = (f"{Path(__file__).parent}{os.sep}", f"{Path(trio.__file__).parent}{os.sep}")
_MOST = 8_000  # characters: the end says most


def author_traceback(error: BaseException) -> str:
    """Return the traceback as Python prints it, of the author's own frames; empty when there are none."""
    parts = [_part(one, last=one is error) for one in _chain(error)]
    text = "\n".join(part for part in parts if part)
    return text if len(text) <= _MOST else f"...\n{text[-_MOST:]}"


def _chain(error: BaseException) -> Iterable[BaseException]:
    """Return what led to the error and the error, the first cause first."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found and len(found) < 10:
        found.insert(0, one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _part(error: BaseException, *, last: bool) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*_OURS, "<frozen"))]
    if not frames and not isinstance(error, SyntaxError):
        return ""
    head = "Traceback (most recent call last):\n" if last else "Before that:\n"
    said = traceback.format_exception_only(type(error), error)
    return (head + "".join(traceback.format_list(frames)) + "".join(said)).rstrip()
