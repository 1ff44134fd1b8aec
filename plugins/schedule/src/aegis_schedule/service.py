"""The scheduler: sleeps until something is due, begins it, and follows the configuration. Nothing ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from zlib import crc32

import trio

from aegis import Caller, Kernel, NotFound, Settings
from aegis.clock import new_id
from aegis.events import ConfigChanged
from aegis_schedule.act import cancel
from aegis_schedule.alarm import Alarm
from aegis_schedule.firing import Firings
from aegis_schedule.missed import LATE, due
from aegis_schedule.settings import Entry, Scheduler
from aegis_schedule.snapshot_file import SnapshotFile, rows
from aegis_schedule.store import Fire, State, Store
from aegis_schedule.timetable import Timetable
from aegis_schedule.trigger import Trigger, time_of, zone_of

_FORGIVEN = timedelta(days=1)  # a new entry whose `fire_at` is not longer past than this is still done
_WAITING = 100  # of one schedule that may wait for the one before
_WHEN = ("cron", "fire_at", "timezone")
MISSED, OVERLAP = "missed", "overlap"


class Schedules:
    """Every entry of `schedules`, and when each is due."""

    name = "schedule"

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any], store: Store) -> None:
        self._kernel, self._settings, self.store = kernel, settings, store
        self.timetable = Timetable()
        self.firings = Firings(kernel, store, self._ended)
        self.authors: dict[str, Caller] = {}  # of entries that are being written just now
        self._file = SnapshotFile(kernel.project.state / "schedules.snapshot.json", self._rows)
        self._changed, self._lock, self.ready = trio.Event(), trio.Lock(), trio.Event()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries in force."""
        found: Mapping[str, Entry] = self._settings["schedules"]
        return found

    def restore(self) -> None:
        """Rebuild what is known of each schedule."""
        self.store.restore()

    async def run(self) -> None:
        """Begin what is due, until cancelled."""
        bus = self._kernel.bus
        with Alarm(self._kernel.clock) as alarm, bus.subscribe(only=(ConfigChanged,)) as news:
            async with trio.open_nursery() as nursery:
                self.firings.nursery = nursery
                await self._close_interrupted()
                await self.follow("")
                self.ready.set()
                nursery.start_soon(self._watch, news)
                nursery.start_soon(self._file.run)
                while True:
                    self._changed = trio.Event()
                    now = self._kernel.clock.now()
                    async with self._lock:
                        for name in self.timetable.take(now):
                            await self._come(name, now)
                    self._file.changed()
                    await alarm.until(self.timetable.next(), self._changed)

    def _rows(self) -> dict[str, dict[str, Any]]:
        return rows((name, self.store.state(name), self.next(name)) for name in self.entries)

    async def _watch(self, news: Any) -> None:
        async for batches in news:
            found = (event for batch in batches for event in batch.events)
            changes = [event for event in found if isinstance(event, ConfigChanged)]
            if changes and any({"schedules", "scheduler"} & {*change.sections} for change in changes):
                await self.follow(changes[-1].who)

    async def _close_interrupted(self) -> None:
        """End what was under way when aegis stopped: it is over, and a person may hear of it."""
        why = "aegis stopped in the middle of it"
        for name, state in list(self.store.states.items()):
            for fire in list(state.running.values()):
                if fire.run:
                    await cancel(self._kernel, self.firings.caller(name, fire), fire.run)
                data = {"fire": fire.fire, "due": fire.due, "status": "failed:interrupted", "error": why}
                await self.store.append("fire_failed", name, **data)
                if entry := self.entries.get(name):
                    await self.firings.tell(name, entry, "failed:interrupted", why)

    # -- entries ------------------------------------------------------------------------------------------------

    async def follow(self, who: str) -> None:
        """Have the timetable say what the configuration says now; what did not change keeps its state."""
        async with self._lock:
            entries, now = dict(self.entries), self._kernel.clock.now()
            records: list[tuple[str, str, dict[str, Any]]] = []
            for name, entry in entries.items():
                state, digest = self.store.state(name), _digest(entry, self.zone)
                if digest != state.digest or entry.enabled != state.enabled:
                    author = self.authors.pop(name, None) or self._author(who)
                    author = state.author if digest == state.digest else author
                    since = self._since(entry, state, digest, now)
                    data = {"digest": digest, "since": since, "enabled": entry.enabled, "by": author}
                    records.append(("entered", name, data))
            gone = [name for name, state in self.store.states.items() if name not in entries and state.digest]
            await self.store.append_all([*records, *(("removed", name, {}) for name in gone)])
            for name in gone:
                self.timetable.put(name, None)
            for name in entries:
                self._plan(name, now)
                self._next_queued(name)
        self._changed.set()

    def _author(self, who: str) -> Caller | None:
        """Return the agent that made a change; what anybody else made is a person's, who trusts the file."""
        kind, _, handle = who.partition(":")
        if kind != "agent":
            return None
        try:
            return Caller("agent", handle, agent_id=self._kernel.roster.find(handle).id)
        except NotFound:
            return Caller("agent", handle)  # nobody knows it any more, and it may do nothing

    def _since(self, entry: Entry, state: State, digest: str, now: datetime) -> str:
        """Return up to when everything is dealt with: of a changed entry its state counts while its times do."""
        same = state.digest.partition(":")[0] == digest.partition(":")[0] and state.digest
        if same and (state.enabled or not entry.enabled):
            return ""
        if entry.fire_at:
            at = time_of(str(entry.fire_at), zone_of(entry.timezone or self.zone))
            if at > now or entry.on_missed or now - at <= _FORGIVEN:
                return (at - timedelta(microseconds=1)).isoformat()
        return now.isoformat()

    @property
    def zone(self) -> str:
        """The time zone of entries that name none."""
        section: Scheduler = self._settings["scheduler"]
        return section.default_timezone

    def trigger(self, entry: Entry) -> Trigger:
        """Return when an entry is due."""
        return entry.trigger(self.zone)

    def over(self, name: str) -> str:
        """Return why a schedule begins no more by itself, empty when it does."""
        entry, state = self.entries[name], self.store.state(name)
        if not entry.enabled:
            return "disabled"
        if self.left(name) <= 0:
            return (
                f"it has begun {state.begun} times, as its lifecycle says" if state.begun > 1 else "it has begun once"
            )
        if entry.until and self._kernel.clock.now() > time_of(entry.until, zone_of(entry.timezone or self.zone)):
            return f"its lifecycle ended at {entry.until}"
        return ""

    def left(self, name: str) -> float:
        """Return how often a schedule may still begin by itself."""
        most = self.entries[name].most
        return float("inf") if most is None else most - self.store.state(name).begun

    def offset(self, name: str) -> timedelta:
        """Return by how much later than it is due a schedule begins."""
        return self.entries[name].spread * (crc32(name.encode()) / 2**32)

    def next(self, name: str) -> datetime | None:
        """Return when a schedule begins next."""
        return self.timetable.when(name)

    def _plan(self, name: str, now: datetime) -> None:
        """Put into the timetable when the schedule is to be looked at next."""
        when = None
        if self.entries[name].enabled and self.left(name) > 0:
            trigger, since, offset = self.trigger(self.entries[name]), self._dealt(name), self.offset(name)
            last = trigger.before(now - offset)
            coming = last if last is not None and last > since else trigger.after(max(since, now - offset))
            when = None if coming is None else coming + offset
        self.timetable.put(name, when)

    def _dealt(self, name: str) -> datetime:
        since = self.store.state(name).since
        return datetime.fromisoformat(since) if since else datetime.min.replace(tzinfo=UTC)

    # -- what is due ----------------------------------------------------------------------------------------------

    async def _come(self, name: str, now: datetime) -> None:
        """Begin what is due of a schedule, as its policies say, in one write with what is dropped."""
        if name not in self.entries or not self.entries[name].enabled:
            return
        entry, offset = self.entries[name], self.offset(name)
        found = due(self.trigger(entry), self._dealt(name), now - offset, entry.missed)
        if found is not None:
            records: list[tuple[str, str, dict[str, Any]]] = []
            if found.dropped:
                data = {"due": found.last.isoformat(), "reason": MISSED, "count": found.dropped, "more": found.more}
                records.append(("skipped", name, data))
            state, begins = self.store.state(name), list[Fire]()
            under_way, waits = len(state.running), len(state.queued)
            for when in found.begin[: int(min(self.left(name), len(found.begin)))]:
                fire = Fire(new_id(), when.isoformat(), backfilled=now - offset - when > LATE)
                said = {"fire": fire.fire, "due": fire.due, "manual": False, "backfilled": fire.backfilled}
                if not under_way or (entry.on_overlap == "kill" and len(found.begin) == 1):
                    records.append(("fire_requested", name, said))
                    begins.append(fire)
                    under_way += 1
                elif (entry.on_overlap == "queue" or fire.backfilled) and waits < _WAITING:
                    records.append(("queued", name, said))
                    waits += 1
                else:
                    why = OVERLAP if entry.on_overlap != "queue" else f"{OVERLAP}: {_WAITING} wait already"
                    records.append(("skipped", name, {"due": fire.due, "reason": why}))
            before = list(state.running)
            await self.store.append_all(records)
            for fire in begins:
                self._go(name, entry, fire, before)
        self._plan(name, now)

    def _go(self, name: str, entry: Entry, fire: Fire, before: list[str]) -> None:
        nursery = self.firings.nursery
        assert nursery
        if before:  # on overlap these are killed, and then the new one begins
            nursery.start_soon(self._replace, name, entry, fire, before)
        else:
            self.firings.begin(name, entry, fire)

    async def _replace(self, name: str, entry: Entry, fire: Fire, before: list[str]) -> None:
        await self.firings.stop(before, "the next one began")
        self.firings.begin(name, entry, fire)

    async def fire(self, name: str, by: Caller) -> Fire:
        """Begin a schedule now, whatever its times; returns once that is on disk."""
        fire = Fire(new_id(), self._kernel.clock.now().isoformat(), manual=True, by=by)
        data = {"fire": fire.fire, "due": fire.due, "manual": True, "backfilled": False, "by": by}
        await self.store.append("fire_requested", name, **data)
        self.firings.begin(name, self.entries[name], fire)
        return fire

    def _ended(self, name: str) -> None:
        """Go on with what waits for its end."""
        self._next_queued(name)
        self._changed.set()

    def _next_queued(self, name: str) -> None:
        state, entry = self.store.state(name), self.entries.get(name)
        if entry and state.queued and not state.running and self.firings.nursery:
            self.firings.nursery.start_soon(self._dequeue, name, entry, state.queued[0])

    async def _dequeue(self, name: str, entry: Entry, fire: Fire) -> None:
        async with self._lock:
            state = self.store.state(name)
            if fire in state.queued and not state.running:
                data = {"fire": fire.fire, "due": fire.due, "manual": fire.manual, "backfilled": fire.backfilled}
                await self.store.append("fire_requested", name, **data)
                self.firings.begin(name, entry, fire)


def _digest(entry: Settings, zone: str) -> str:
    """Return a mark of an entry: what says when it is due, and all the rest but whether it is enabled."""
    said = entry.model_dump(mode="json")
    said.pop("enabled")
    when = {name: said.pop(name) for name in _WHEN} | {"zone": said.get("timezone") or zone}
    return ":".join(sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16] for part in (when, said))
