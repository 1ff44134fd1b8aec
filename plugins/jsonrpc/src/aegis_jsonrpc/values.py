"""Reading what another process wrote: the value if it has the type that was agreed, else an empty one."""

from __future__ import annotations

from math import isfinite
from typing import Any


def text(value: Any) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if type(value) is str else ""


def mapping(value: Any) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if type(value) is dict else {}


def items(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if type(value) is list else []


def count(value: Any) -> int:
    """Return the value if it is a number of things, else 0."""
    return value if type(value) is int and 0 <= value < 2**63 else 0


def amount(value: Any) -> float | None:
    """Return the value if it is a finite number that is not negative, else None."""
    number = float(value) if type(value) is int and abs(value) < 2**63 else value
    return number if type(number) is float and isfinite(number) and number >= 0 else None
