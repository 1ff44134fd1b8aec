"""The sections `schedules` and `scheduler`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from aegis import Settings
from aegis_schedule.missed import Policy
from aegis_schedule.trigger import At, Trigger, Until, cron, fields_of, time_of, zone_of

Overlap = Literal["skip", "queue", "kill"]
_DAY = 86_400.0


class Notify(Settings):
    """When a person gets a message."""

    on_failure: bool = Field(True, description="when it failed")
    on_success: bool = Field(False, description="when it ended well")


class Life(Settings):
    """`lifecycle`, when it is neither `forever` nor `once`."""

    fires: int | None = Field(None, gt=0, description="how often it begins; after that it is over")
    until: datetime | str = Field("", description="ISO time after which it begins no more")

    @field_validator("until")
    @classmethod
    def _a_time(cls, value: Any) -> str:
        return _iso(value)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.fires is None and not self.until:
            raise ValueError("say `fires: N` or `until: TIME`")
        return self


class Entry(Settings):
    """An entry of `schedules`: what is done, and when."""

    workflow: str = Field("", description="workflow that is run; `prompt` and `enqueue` are always there")
    verb: str = Field("", description="verb that is called instead of a workflow, like `canvas write-section`")
    args: dict[str, Any] = Field(default_factory=dict, description="arguments of the workflow or verb")
    cron: str = Field("", description="when, as a cron line: minute hour day month weekday; or @hourly, @daily …")
    fire_at: datetime | str = Field("", description="once, at this ISO time; without an offset it is in the time zone")
    timezone: str = Field("", description="time zone like Europe/Berlin; empty: that of `scheduler`")
    lifecycle: Literal["forever", "once"] | Life = Field(
        "forever", description="until when it begins: forever, once, {fires: N}, or {until: TIME}"
    )
    on_overlap: Overlap = Field(
        "skip", description="when the last one is not over: skip this one, queue it, or kill the last one"
    )
    on_missed: Policy | None = Field(
        None,
        description="of times that were missed begin none (skip), one (once), or each (all); "
        "skip unless said, once with `fire_at`",
    )
    jitter: float = Field(0, ge=0, le=_DAY, description="begin up to so many seconds later, spread by the name")
    timeout: float | None = Field(1800, gt=0, description="seconds after which it is ended, as failed; null: never")
    when: str = Field("", description="command that is run first; unless it exits with 0 nothing is done this time")
    enabled: bool = Field(True, description="whether it begins by itself")
    notify: Notify = Field(Notify(), description="when a person gets a message")

    @field_validator("cron")
    @classmethod
    def _a_line(cls, value: str) -> str:
        if value:
            fields_of(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        if value:
            zone_of(value)
        return value

    @field_validator("fire_at")
    @classmethod
    def _a_time(cls, value: Any) -> str:
        return _iso(value)

    @field_validator("lifecycle", mode="before")
    @classmethod
    def _a_life(cls, value: Any) -> Any:
        """Return what is meant, so that a mistake in it is said as one of its own."""
        if isinstance(value, dict):
            return Life.model_validate(value)
        if not isinstance(value, Life) and value not in ("forever", "once"):
            raise ValueError(f"{value!r} is no lifecycle; there are forever, once, {{fires: N}} and {{until: TIME}}")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if bool(self.cron) == bool(self.fire_at):
            raise ValueError("a schedule has either `cron` or `fire_at`" + (", not both" if self.cron else ""))
        if bool(self.workflow) == bool(self.verb):
            raise ValueError("a schedule has either `workflow` or `verb`" + (", not both" if self.verb else ""))
        return self

    def trigger(self, default_zone: str) -> Trigger:
        """Return when it is due."""
        zone = self.timezone or default_zone
        trigger = cron(self.cron, zone) if self.cron else At(time_of(str(self.fire_at), zone_of(zone)))
        return Until(trigger, time_of(str(self.until), zone_of(zone))) if self.until else trigger

    @property
    def until(self) -> str:
        """The ISO time after which it begins no more, empty when there is none."""
        return str(self.lifecycle.until) if isinstance(self.lifecycle, Life) else ""

    @property
    def most(self) -> int | None:
        """How often it begins, None when there is no such number; what has one time comes once anyway."""
        if isinstance(self.lifecycle, Life):
            return self.lifecycle.fires
        return 1 if self.lifecycle == "once" and not self.fire_at else None

    @property
    def missed(self) -> Policy:
        """What happens with times that were missed."""
        return self.on_missed or ("once" if self.fire_at else "skip")

    @property
    def spread(self) -> timedelta:
        """By how much a beginning may be later than it is due."""
        return timedelta(seconds=self.jitter)


class Scheduler(Settings):
    """`scheduler`."""

    default_timezone: str = Field("UTC", description="time zone of schedules that name none")
    tick_seconds: float | None = Field(None, gt=0, description="has no effect: nothing ticks, each time is slept until")

    @field_validator("default_timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        zone_of(value)
        return value


def _iso(value: Any) -> str:
    """Return a time of the file as text; raises `ValueError` for what is none. YAML makes a `datetime` of some."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if text:
        time_of(text, zone_of("UTC"))
    return text
