"""The section `keep`."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import Field, field_validator

from aegis import Settings

_AGE, _SIZE = re.compile(r"(\d{1,6})([hdw])"), re.compile(r"(\d{1,6})(MB|GB)")
_HOURS = {"h": 1, "d": 24, "w": 168}


def age_of(text: str) -> timedelta:
    """Return the age that `12h`, `30d` or `8w` says; raises `ValueError`."""
    if not (found := _AGE.fullmatch(text.strip())) or not int(found[1]):
        raise ValueError(f"{text!r} is no age; say it like 12h, 30d or 8w")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def size_of(text: str) -> int:
    """Return the bytes that `500MB` or `2GB` says; raises `ValueError`."""
    if not (found := _SIZE.fullmatch(text.strip().upper())) or not int(found[1]):
        raise ValueError(f"{text!r} is no size; say it like 500MB or 2GB")
    return int(found[1]) * 10 ** (6 if found[2] == "MB" else 9)


class Keep(Settings):
    """`keep`."""

    age: str = Field("", description="how long what is over is kept: 12h, 30d, 8w; empty: for ever")
    size: str = Field("", description="how large the state may be: 500MB, 2GB; the oldest goes first; empty: no limit")

    @field_validator("age")
    @classmethod
    def _an_age(cls, value: str) -> str:
        if value:
            age_of(value)
        return value

    @field_validator("size")
    @classmethod
    def _a_size(cls, value: str) -> str:
        if value:
            size_of(value)
        return value
