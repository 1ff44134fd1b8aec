"""The section `queues`: each queue's worker profile, its limits, and what happens when an attempt fails."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from aegis import Settings

Retried = Literal["error", "timed_out", "interrupted", "silent", "truncated"]
_NAME, _LONGEST = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*"), 30
_WINDOW = re.compile(r"[1-9]\d*[mhdw]")


def _named(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        rule = f"words of a-z and 0-9 joined by '-' or '_', {_LONGEST} letters at most"
        raise ValueError(f"{name!r} is not a queue name: {rule}")
    return name


def _a_window(window: str) -> str:
    if not _WINDOW.fullmatch(window):
        raise ValueError(f"{window!r} is not a window: it is a whole number, at least 1, and m, h, d or w, such as 24h")
    return window


class BudgetEntry(BaseModel):
    """One budget of a queue, which aegis-budget enforces."""

    model_config = ConfigDict(extra="allow", frozen=True)

    usd: float | None = Field(None, gt=0, description="dollars that its tasks may cost in the window")
    output_tokens: int | None = Field(None, gt=0, description="tokens that its workers may write in the window")
    window: Annotated[str, AfterValidator(_a_window)] = Field(description="how long spending counts: `5h`, `7d`")

    @model_validator(mode="after")
    def _one(self) -> BudgetEntry:
        if (self.usd is None) == (self.output_tokens is None):
            raise ValueError("a budget has exactly one of `usd` and `output_tokens`")
        return self


class QueueSettings(Settings):
    """One queue."""

    agent: str = Field(description="profile of its workers")
    max_parallel: int = Field(1, ge=1, le=100, description="how many workers at once, at most")
    timeout: float = Field(7200, gt=0, description="seconds for one attempt, with all its turns and waiting")
    retries: int = Field(0, ge=0, le=100, description="further attempts after an outcome in `retry_on`")
    retry_on: tuple[Retried, ...] = Field(
        ("error", "timed_out", "interrupted"), description="outcomes that are tried again"
    )
    backoff: float = Field(5, gt=0, description="seconds before the second attempt; doubles each time, up to an hour")
    on_overload: Literal["wait", "fail"] = Field(
        "wait", description="when the provider is overloaded: continue with the same worker later, or fail the attempt"
    )
    max_pending: int | None = Field(None, ge=1, description="pending tasks at most; more are refused")
    max_pending_by_agent: int = Field(100, ge=1, description="tasks of one agent that are not over, at most")
    budgets: tuple[BudgetEntry, ...] = Field((), description="budgets of this queue, enforced by aegis-budget")


class QueuePluginSettings(Settings):
    """The section `plugins.queue`."""

    broker: str = Field("ledger", description="which engine keeps the tasks: `ledger`, or what another plugin offers")
    max_payload: int = Field(1_000_000, ge=1, le=10_000_000, description="characters of a task's payload")
    max_schema: int = Field(64_000, ge=1, le=1_000_000, description="characters of a result's JSON schema, as JSON")
    max_result: int = Field(1_000_000, ge=1, le=10_000_000, description="bytes of a task's result, as text or JSON")


Section = dict[Annotated[str, AfterValidator(_named)], QueueSettings]
