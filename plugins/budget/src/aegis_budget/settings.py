"""The section `budgets`: what may be spent, by whom, in which window."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from aegis import Refused, Settings
from aegis.errors import listed, nearest

Unit = Literal["usd", "output_tokens"]
UNITS: tuple[Unit, Unit] = ("usd", "output_tokens")
_WINDOW = re.compile(r"([1-9][0-9]{0,3})([mhdw])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(window: str) -> int:
    """Return the length of a window such as `90m`, `24h`, `7d`, `2w` in seconds; raises `ValueError`."""
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise ValueError(f"{window!r} is not a window: it is a whole number, at least 1, and m, h, d or w, such as 24h")
    return int(match[1]) * _SECONDS[match[2]]


class Entry(Settings):
    """One budget: so much of one thing in a rolling window."""

    usd: Decimal | None = Field(None, gt=0, description="dollars; or else `output_tokens`")
    output_tokens: int | None = Field(None, gt=0, description="tokens that models wrote; or else `usd`")
    window: str = Field(description="how far back spending counts: a whole number and m, h, d or w")
    on_exceed: Literal["finish", "interrupt"] = Field(
        "interrupt", description="a turn that passes the limit is interrupted, or may finish"
    )
    turn_most: Decimal | None = Field(None, gt=0, description="upper bound that you declare for one turn")

    @field_validator("window")
    @classmethod
    def _is_a_window(cls, window: str) -> str:
        seconds(window)
        return window

    @model_validator(mode="after")
    def _has_one_constraint(self) -> Entry:
        if (self.usd is None) == (self.output_tokens is None):
            raise ValueError("a budget has exactly one of `usd` and `output_tokens`")
        return self

    @property
    def unit(self) -> Unit:
        """What it limits."""
        return "usd" if self.usd is not None else "output_tokens"

    @property
    def limit(self) -> Decimal:
        """How much of it; this much is too much."""
        return self.usd if self.usd is not None else Decimal(self.output_tokens or 0)

    @property
    def seconds(self) -> int:
        """The length of its window."""
        return seconds(self.window)

    def __str__(self) -> str:
        return f"{amount(self.unit, self.limit)} in {self.window}"


def amount(unit: Unit, value: Decimal | int) -> str:
    """Return an amount as people write it: `$1.23`, `20000 output tokens`."""
    return f"${number(Decimal(value))}" if unit == "usd" else f"{int(value)} output tokens"


def number(value: Decimal) -> str:
    """Return the digits of an amount, two after the point at least where there are any: `5`, `0.30`, `0.0675`."""
    text = f"{value.normalize():f}"
    whole, point, rest = text.partition(".")
    return f"{whole}.{rest:0<2}" if point else whole


def _distinct(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    seen: set[tuple[Unit, int]] = set()
    for entry in entries:
        if (entry.unit, entry.seconds) in seen:
            raise ValueError(f"there are two budgets of {entry.unit} in {entry.window}; keep one of them")
        seen.add((entry.unit, entry.seconds))
    return entries


Entries = Annotated[tuple[Entry, ...], AfterValidator(_distinct)]
_entries: TypeAdapter[tuple[Entry, ...]] = TypeAdapter(Entries)


def handed_over(queue: str, entries: Sequence[Any]) -> tuple[Entry, ...]:
    """Return the budgets in a queue's own section; raises `Refused` with what is wrong with them."""
    try:
        return _entries.validate_python(list(entries))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("queues", queue, "budgets", *first["loc"])))
        wrong = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            key, there = str(first["loc"][-1]), Entry.model_fields
            wrong = f"there is no setting {key!r} here (there are: {listed(there)}).{nearest(key, there)}"
        raise Refused(f"{where}: {wrong}") from None


class Price(Settings):
    """What a model costs, in dollars for a million tokens; cached input costs what `input` does, unless said."""

    input: Decimal = Field(ge=0, description="dollars for a million tokens of fresh input")
    output: Decimal = Field(ge=0, description="dollars for a million tokens of output")
    cache_read: Decimal | None = Field(None, ge=0, description="of input read from a cache")
    cache_write: Decimal | None = Field(None, ge=0, description="of input written to a cache")
    cache_write_1h: Decimal | None = Field(None, ge=0, description="of input written to a cache for an hour")
    context: int | None = Field(None, gt=0, description="the most tokens of input in one request")
    max_output: int | None = Field(None, gt=0, description="the most tokens of output in one request")
    as_of: Annotated[str, BeforeValidator(str)] = Field("", description="the day of this price")
    source: str = Field("", description="where the price is published")


class PriceList(Settings):
    """The packaged table: list prices by provider or by model alone."""

    version: str
    providers: dict[str, dict[str, Price]]
    models: dict[str, Price]


class Estimate(Settings):
    """What is reserved for a turn before its cost is known."""

    usd: Decimal = Field(Decimal(1), gt=0, description="dollars")
    output_tokens: int = Field(20_000, gt=0, description="tokens that models write")


class BudgetsSettings(Settings):
    """The section `budgets`; every budget that covers a turn must allow it."""

    project: Entries = Field((), description="of all agents together")
    profiles: dict[str, Entries] = Field({}, description="of all agents of a profile together")
    queues: dict[str, Entries] = Field({}, description="of all workers of a queue together")
    prices: dict[str, dict[str, Price]] = Field({}, description="provider → model (`*` for any) → price")
    unpriced: Literal["allow", "block"] | Annotated[Decimal, Field(ge=0)] = Field(
        "block",
        description="a model without a price under a dollar budget: allow, block, or dollars per million tokens",
    )
    turn: Estimate = Field(Estimate(), description="what is reserved for a turn")

    @property
    def longest(self) -> int:
        """The seconds of the longest window."""
        lists = (self.project, *self.profiles.values(), *self.queues.values())
        return max((entry.seconds for entries in lists for entry in entries), default=0)
