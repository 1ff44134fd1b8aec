"""The errors of aegis, and whose fault each one is: the text of every one is a sentence meant to be read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class AegisError(Exception):
    """Something in aegis did not work; `data` is what a program needs to know of it, as JSON."""

    exit_code = 1

    def __init__(self, message: str = "", **data: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.data = data


class ConfigError(AegisError):
    """The configuration or the command line is wrong."""

    exit_code = 2


class Refused(AegisError):
    """The request was understood and is not done."""

    exit_code = 3


class NotFound(Refused):
    """The request names something that does not exist."""

    exit_code = 4


class LaunchError(AegisError):
    """The agent's CLI could not be started, or died."""


class SessionGone(LaunchError):
    """The agent's CLI came up, and cannot go on with the session it was to resume."""


class LedgerError(AegisError):
    """The disk did not keep what it was given; nothing was acknowledged."""


class Busy(AegisError):
    """Another aegis already runs in this project."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for a known word that is close or begins so, else an empty string."""
    close = get_close_matches(word[:60], all_ := [*known][:500], 1, 0.65) or [w for w in all_ if w.startswith(word)]
    return f" Did you mean {close[0]!r}?" if len(close) == 1 else ""


def listed(words: Iterable[str], empty: str = "none") -> str:
    """Return the words sorted and joined by commas, or `empty` when there are none."""
    return ", ".join(sorted(words)) or empty
