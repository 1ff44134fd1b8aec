"""Values as JSON: objects of every kind become plain ones, and what JSON cannot hold is said in a sentence."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel


def plain(value: Any) -> Any:
    """Return a value as JSON has it: structs, dataclasses and models become objects, what is unknown its text."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def as_json(value: Any) -> str:
    """Return a value as one JSON text, keys sorted, no spaces; raises `ValueError` with what cannot be said in JSON."""
    try:
        return msgspec.json.encode(msgspec.to_builtins(value, enc_hook=_plain, str_keys=True), order="sorted").decode()
    except UnicodeEncodeError as error:
        where = f"{error.object[error.start]!r} at character {error.start + 1} of {len(error.object):,}"
        raise ValueError(f"a text has half a character in it ({where}); send valid Unicode") from None
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply; send fewer levels") from None
    except (TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"it cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
