"""What a run returns and keeps: JSON, or an error that names the place where it is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from aegis_workflow.errors import WorkflowError

MOST = 4_000_000  # characters as JSON of one result, or one kept value
_DEEP = 100
_SAID_AS_TEXT = (date, time, timedelta, Decimal, UUID)


def as_json(value: Any, what: str) -> Any:
    """Return the value as JSON; raises `TypeError` with the place in `what` that is none, `ValueError` if too large."""
    found = checked(value, what)
    size = len(msgspec.json.encode(found))
    if size > MOST:
        raise ValueError(
            f"{what} has {size:,} bytes as JSON, and {MOST:,} are kept: write it to a file, return its path"
        )
    return found


def result_of(name: str, value: Any) -> Any:
    """Return what a workflow returned as JSON; raises `WorkflowError` when it is none, or too large."""
    try:
        return as_json(value, f"the result of {name}")
    except (TypeError, ValueError) as error:
        raise WorkflowError(str(error)) from None


def checked(value: Any, what: str) -> Any:
    """Return the value as JSON, whatever its size; raises `TypeError` with the place in `what` that is none."""
    return _json(value, what, 0)


def _json(value: Any, at: str, depth: int) -> Any:
    if depth > _DEEP:
        raise TypeError(f"{at} is no JSON that can be kept: it is more than {_DEEP} levels deep")
    match value:
        case Enum():
            return _json(value.value, at, depth)
        case None | bool():
            return value
        case str():
            return _text(value, at)
        case int() if -(2**63) <= value < 2**64:
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case Mapping():
            return {_key(name, at): _json(one, f"{at}[{name!r}]", depth + 1) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            return [_json(one, f"{at}[{number}]", depth + 1) for number, one in enumerate(items)]
        case PurePath():
            return _text(str(value), at)
    if isinstance(value, _SAID_AS_TEXT):
        return msgspec.to_builtins(value)
    if hasattr(value, "to_dict") and not isinstance(value, type):
        return _json(value.to_dict(), at, depth + 1)
    if fields := _fields(value):
        return {name: _json(getattr(value, name), f"{at}.{name}", depth + 1) for name in fields}
    raise TypeError(f"{at} is no JSON: {_short(value)}")


def _fields(value: Any) -> tuple[str, ...]:
    """Return the names of a dataclass's or a struct's fields."""
    kind = type(value)
    own: Iterable[str] = getattr(kind, "__dataclass_fields__", ()) or getattr(kind, "__struct_fields__", ())
    return () if isinstance(value, type) else tuple(own)


def _key(name: Any, at: str) -> str:
    if isinstance(name, str | int) and not isinstance(name, bool):
        return _text(str(name.value if isinstance(name, Enum) else name), at)
    raise TypeError(f"{at} is no JSON: {name!r} is no key of an object")


def _text(value: str, at: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TypeError(f"{at} is no JSON: {_short(value)} is no text of Unicode") from None
    return str(value)


def _short(value: Any) -> str:
    said = repr(value) if isinstance(value, int | float | str | bytes) else f"it is of the type {type(value).__name__}"
    return said if len(said) <= 80 else f"{said[:77]}..."
