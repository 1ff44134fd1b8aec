"""The verbs on schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.clock import stamp
from aegis.errors import listed, nearest
from aegis.ledger import Record
from aegis_permission.acts import mode_of
from aegis_schedule.act import named
from aegis_schedule.rows import Begun, Coming, ScheduleRow, ScheduleSheet
from aegis_schedule.service import Schedules
from aegis_schedule.settings import Entry, Life, Notify
from aegis_schedule.trigger import zone_of

Name = Annotated[str, Completes("schedule"), Field(description="name of the schedule")]


class ScheduleVerbs:
    """Showing schedules, and beginning them by hand."""

    name = "schedules"

    def __init__(self, kernel: Kernel, schedules: Schedules) -> None:
        self._kernel, self._schedules = kernel, schedules
        kernel.verbs.complete_with("schedule", lambda: sorted(schedules.entries))

    @verb("schedule list", read_only=True)
    async def rows(self, caller: Caller) -> list[ScheduleRow]:
        """List the schedules with what each does, when, and how it went last."""
        await self._schedules.ready.wait()
        return [self._row(name) for name in sorted(self._schedules.entries)]

    @verb("schedule show", read_only=True)
    async def show(self, caller: Caller, name: Name) -> ScheduleSheet:
        """Show one schedule: its entry, its next five times, how it went last, and whose act it is."""
        entry, state = await self._entry(name), self._schedules.store.state(name)
        author = state.author.principal if state.author else f"human:{self._schedules.firings.user}"
        return ScheduleSheet(
            name, self._source(name), named(entry), entry.model_dump(mode="json", exclude_defaults=True),
            [coming.local for coming in self._coming(name, 5)], self._state(name), sorted(state.running),
            len(state.queued), state.fires + state.by_hand, state.skips, state.last_fire, state.last_status,
            state.last_error, state.last_completed_at, author,
        )  # fmt: skip

    @verb("schedule next", read_only=True, positional=("name",))
    async def coming(
        self,
        caller: Caller,
        name: Name,
        count: Annotated[int, Field(ge=1, le=100, description="how many times")] = 5,
    ) -> list[Coming]:
        """Show when a schedule begins next, in UTC and in its own time zone."""
        await self._entry(name)
        return self._coming(name, count)

    @verb("schedule run", positional=("name",))
    async def begin(
        self,
        caller: Caller,
        name: Name,
        wait: Annotated[bool, Field(description="wait until it has ended and show its result")] = False,
    ) -> Begun:
        """Begin a schedule now, whatever its times; this does not count for its lifecycle.

        It is the act of whoever asks for it.
        """
        await self._entry(name)
        if mode_of(self._kernel, caller) == "read":
            raise Refused(f"{caller} may only read, and a schedule does things; ask a person to run {name!r}")
        fire = await self._schedules.fire(name, caller)
        if not wait:
            return Begun(name, fire.fire, "running")
        await self._schedules.firings.end_of(fire.fire)
        last = next(r for r in reversed(self._schedules.store.records(name, 1_000)) if r.data.get("fire") == fire.fire)
        said = str(last.data.get("result_excerpt") or last.data.get("error") or last.data.get("reason") or "")
        return Begun(name, fire.fire, str(last.data.get("status", last.kind)), said)

    @verb("schedule enable", for_={"person", "program"}, positional=("name",))
    async def enable(self, caller: Caller, name: Name) -> str:
        """Have a schedule begin by itself again, from now on; only that word of its entry is changed."""
        return await self._switch(caller, name, on=True)

    @verb("schedule disable", for_={"person", "program"}, positional=("name",))
    async def disable(self, caller: Caller, name: Name) -> str:
        """Have a schedule begin no more by itself; what is under way goes on, and `schedule run` still begins it."""
        return await self._switch(caller, name, on=False)

    @verb("schedule logs", read_only=True, positional=("name",))
    async def logs(
        self,
        caller: Caller,
        name: Name,
        n: Annotated[int, Field(ge=1, le=10_000, description="how many of the newest records")] = 50,
    ) -> str:
        """Show what a schedule did, oldest first."""
        records = self._schedules.store.records(name, n)
        if not records:
            await self._entry(name)
            return f"{name} has not begun yet"
        return "\n".join(map(_shown, records))

    @verb("schedule validate", read_only=True, positional=("spec",))
    async def validate(
        self, caller: Caller, spec: Annotated[dict[str, Any], Field(description="an entry of `schedules`, as JSON")]
    ) -> list[Coming]:
        """Check an entry without writing it, and show the next five times at which it would begin."""
        entry = checked(spec)
        self._works(entry, caller)
        return _coming(self._schedules, entry, self._kernel.clock.now(), 5)

    async def _switch(self, caller: Caller, name: str, *, on: bool) -> str:
        if (await self._entry(name)).enabled == on:
            return f"{name} is {'enabled' if on else 'disabled'} already"

        def change(entry: Any) -> None:
            entry["enabled"] = on

        config = self._kernel.config
        if self._overlay(name).exists():
            config.edit_overlay("schedules", name, change, caller.principal)
        else:
            config.edit(lambda file: change(file["schedules"][name]), caller.principal)
        await self._schedules.follow(caller.principal)
        if not on:
            return f"{name} is disabled"
        coming = self._schedules.next(name)
        return f"{name} is enabled: " + (f"it begins next at {stamp(coming)}" if coming else self._state(name))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _entry(self, name: str) -> Entry:
        await self._schedules.ready.wait()
        entries = self._schedules.entries
        if name not in entries:
            raise NotFound(f"there is no schedule {name!r} (schedules: {listed(entries)}).{nearest(name, entries)}")
        return entries[name]

    def _overlay(self, name: str) -> Path:
        return self._kernel.project.root / ".aegis" / "schedules" / f"{name}.yaml"

    def _source(self, name: str) -> str:
        return f".aegis/schedules/{name}.yaml" if self._overlay(name).exists() else ".aegis.yaml"

    def _state(self, name: str) -> str:
        state = self._schedules.store.state(name)
        if state.running:
            return "running" + (f", {len(state.queued)} wait" if state.queued else "")
        return self._schedules.over(name) or ("waits" if self._schedules.next(name) else "never due again")

    def _row(self, name: str) -> ScheduleRow:
        entry, state = self._schedules.entries[name], self._schedules.store.state(name)
        when, coming = entry.cron or str(entry.fire_at), self._schedules.next(name)
        return ScheduleRow(
            name, named(entry), f"{when} {entry.timezone}".strip(), stamp(coming) if coming else "", self._state(name),
            state.fires + state.by_hand, state.last_status, self._source(name), entry.enabled, len(state.running),
        )  # fmt: skip

    def _coming(self, name: str, count: int) -> list[Coming]:
        entry, first = self._schedules.entries[name], self._schedules.next(name)
        if first is None:
            return []
        count = int(min(count, self._schedules.left(name)))
        found = _coming(self._schedules, entry, self._kernel.clock.now(), count)
        return found or [_coming_at(self._schedules, entry, first)]

    def _works(self, entry: Entry, caller: Caller) -> None:
        """Raise `NotFound` or `Refused` when what the entry names is not here, or not the caller's."""
        if entry.verb:
            self._kernel.verbs.find(caller.through("schedule"), entry.verb).validate(entry.args)
        else:
            self._kernel.verbs.find(caller, "workflow run")
            known = self._kernel.verbs.completions("workflow")
            if entry.workflow not in known:
                hint = nearest(entry.workflow, known)
                raise NotFound(f"there is no workflow {entry.workflow!r} (workflows: {listed(known)}).{hint}")


def checked(spec: dict[str, Any]) -> Entry:
    """Return the entry that a spec says; raises `Refused` with all that is wrong with it, in the words of a file's."""
    from pydantic import ValidationError  # noqa: PLC0415 - needed for a mistake only

    try:
        return Entry.model_validate(spec)
    except ValidationError as error:
        raise Refused(f"this is no schedule: {'; '.join(map(_wrong, error.errors()))}") from None


def _wrong(error: Any) -> str:
    """Return where a mistake is and what it is; a key that there is not gets those that there are."""
    where = error["loc"]
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = list((Notify if where[0] == "notify" else Entry if len(where) == 1 else Life).model_fields)
        what = f"there is no setting {where[-1]!r} here (there are: {listed(known)}).{nearest(str(where[-1]), known)}"
    return f"{'.'.join(map(str, where)) or 'the entry'}: {what}"


def _coming(schedules: Schedules, entry: Entry, now: datetime, count: int) -> list[Coming]:
    found, trigger = list[Coming](), schedules.trigger(entry)
    at: datetime | None = now
    while at is not None and len(found) < count and (at := trigger.after(at)) is not None:
        found.append(_coming_at(schedules, entry, at))
    return found


def _coming_at(schedules: Schedules, entry: Entry, at: datetime) -> Coming:
    local = at.astimezone(zone_of(entry.timezone or schedules.zone))
    return Coming(stamp(at), f"{local:%Y-%m-%d %H:%M} {local.tzname()} ({local:%a})")


def _shown(record: Record) -> str:
    data = record.data
    what = {
        "entered": f"entered, written by {(data.get('by') or {}).get('name', 'a person')}",
        "fire_requested": f"begins{' by hand' if data.get('manual') else ''}, due {_at(data)}",
        "began": f"run {data.get('run')}",
        "fire_completed": f"ok after {data.get('duration_s')} s: {data.get('result_excerpt')}",
        "fire_failed": f"{data.get('status')}: {data.get('error')}",
        "skipped": f"skipped ({data.get('reason')}), due {_at(data)}",
        "queued": f"waits for the one before, due {_at(data)}",
    }.get(record.kind, record.kind)
    return f"{record.at} · {what}"


def _at(data: Mapping[str, Any]) -> str:
    """Return when something was due, as every other time is said."""
    return stamp(datetime.fromisoformat(data["due"]).astimezone(UTC)) if data.get("due") else ""
