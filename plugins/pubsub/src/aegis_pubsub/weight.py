"""How much memory events take, about, and told at little cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

_EACH, _WIDE = 300, 4  # bytes that each event takes beside what it says; by how much many parts are larger than as JSON
_encode = msgspec.json.Encoder(enc_hook=repr).encode


def weight(events: Sequence[Any], plain: Collection[type[Any]]) -> int:
    """Return about how many bytes the events take; those of `plain` kinds have a `text`, and little else."""
    sizes = [len(event.text) if type(event) in plain else _wide(event) for event in events]
    return sum(sizes) + _EACH * len(sizes)


def _wide(event: Any) -> int:
    try:
        return _WIDE * len(_encode(event))
    except ValueError:  # half a character
        return _WIDE * len(repr(event))
