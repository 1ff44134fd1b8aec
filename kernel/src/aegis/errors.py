"""The errors of aegis, and whose fault each one is.

AegisError               anything aegis says on purpose; its text is a sentence
├── ConfigError          the user's `.aegis.yaml` or command line is wrong
├── Refused              the request was understood and is not done
│   └── NotFound         it names something that does not exist
├── LaunchError          an agent's CLI could not be started, or died
├── LedgerError          the disk did not keep what it was given
└── Busy                 another kernel holds this project
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AegisError(Exception):
    """Something in aegis did not work."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(AegisError):
    """The configuration cannot be used."""

    exit_code = 2


class Refused(AegisError):
    """The request was refused."""

    exit_code = 3


class NotFound(Refused):
    """The request names something that does not exist."""

    exit_code = 4


class LaunchError(AegisError):
    """The agent's CLI could not be started, or died."""


class LedgerError(AegisError):
    """The ledger could not store what it was given; nothing was acknowledged."""


class Busy(AegisError):
    """Another aegis already runs in this project."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest known word, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def listed(words: Iterable[str], empty: str = "none") -> str:
    """Return the words sorted and joined by commas, or `empty` when there are none."""
    return ", ".join(sorted(words)) or empty
