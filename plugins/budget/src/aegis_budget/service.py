"""What turns in flight use, read from the bus: more is reserved while there is room, and then they are stopped."""

from __future__ import annotations

from decimal import Decimal
from math import inf

import msgspec
import trio

from aegis import Kernel
from aegis.bus import Batch, Subscription
from aegis.events import AgentChanged, ConfigChanged, Event, Gap, Notice, SessionStarted, TurnEnded, TurnStarted, Usage
from aegis.ledger import Draft
from aegis.mail_history import TurnRecord
from aegis_budget.budgets import PROJECT, Budgets, queue_of, scopes_of
from aegis_budget.decision import Check
from aegis_budget.flight import Flight
from aegis_budget.limiter import Limiter
from aegis_budget.notes import Notes
from aegis_budget.settings import UNITS, Entry
from aegis_budget.store import TASK, Account

_CONCERNS = (ConfigChanged, Usage, TurnStarted, TurnEnded, SessionStarted, AgentChanged)
_PATIENT, _LATER = (TurnEnded, AgentChanged), 0.05  # what need not be heard at once
_GONE = ("asleep", "stopped", "failed", "closed")


class Meter:
    """Reads for as long as the kernel lives; without it no turn under a budget begins."""

    def __init__(self, kernel: Kernel, account: Account, budgets: Budgets, limiter: Limiter, notes: Notes) -> None:
        self._kernel, self._account, self._budgets, self._limiter, self._notes = (
            kernel,
            account,
            budgets,
            limiter,
            notes,
        )
        self._in: dict[str, str] = {}  # agent → the turn its stream is in
        self._lost = dict(account.open)

    def broke(self, why: str) -> None:
        """Let nothing begin under a budget any more."""
        self._limiter.down = why

    async def run(self) -> None:
        """Settle what the last run left open, then read until cancelled."""
        with self._kernel.bus.subscribe(only=_CONCERNS, every=_LATER, patient=_PATIENT) as news:
            self._limiter.refresh()  # what was changed before anybody listened here
            await self._close_old_turns()
            self._limiter.ready.set()
            self._notes.show()
            while True:
                batches = await self._next(news)
                for agent_id, events, _ in batches or ():
                    for event in events:
                        await self._hear(agent_id, event)
                if batches is None:
                    self._notes.show()

    async def _next(self, news: Subscription) -> list[Batch] | None:
        """Return what has happened, or None once a note may have to be removed."""
        if self._notes.wait == inf:
            return await anext(news)
        with trio.move_on_after(self._notes.wait):
            return await anext(news)
        return None

    async def _hear(self, agent_id: str, event: Event) -> None:
        match event:
            case ConfigChanged() | Gap():
                self._limiter.refresh()
            case Usage():
                if flight := self._limiter.flights.get(self._in.get(agent_id, "")):
                    flight.read(event, self._budgets)
                    await self._weigh(flight)
            case TurnStarted():
                self._in[agent_id] = event.turn
            case TurnEnded():
                self._in.pop(agent_id, None)
            case SessionStarted() if event.model:
                self._limiter.models[agent_id] = event.model
            case AgentChanged() if event.agent["state"] in _GONE:
                self._in.pop(agent_id, None)
                await self._limiter.sweep(agent_id)

    # -- in flight ----------------------------------------------------------------------------------------------

    async def _weigh(self, flight: Flight) -> None:
        """Reserve more for a turn that used up what it has; stop it when a budget has no more."""
        held = self._account.open.get(flight.turn.id)
        if held is None:
            return
        covering = self._budgets.covering(flight.scopes)
        stop: list[Check] = []
        more: dict[str, Decimal] = {}
        for unit in UNITS:
            used, has = flight.used[unit], held.of(unit)
            checks = [self._limiter.check(scope, entry) for scope, entry in covering if entry.unit == unit]
            stop += [c for c in checks if c.entry.on_exceed == "interrupt" and used >= has + c.left]
            if checks and used > has:
                room = max(min(c.left for c in checks), Decimal(0))
                guess = Decimal(getattr(self._budgets.settings.turn, unit))
                more[unit] = max(used, min(used + guess, has + room))
        if stop and not flight.cut:
            flight.cut = True
            self._stop(flight, stop[0].scope, stop[0].entry)
        if more:
            await self._account.reserve(flight.turn.id, msgspec.structs.replace(held, **more, took=""))

    def _stop(self, flight: Flight, scope: str, entry: Entry) -> None:
        if agent := self._kernel.roster.get(flight.turn.agent_id):
            why = f"{scope} has nothing left of {entry}"
            self._kernel.bus.publish(agent.id, Notice(f"this turn is interrupted: {why}", "warning", "budget"))
            self._kernel.base.start_soon(agent.interrupt, flight.turn, why)  # a CLI may take its time to obey

    # -- a new start --------------------------------------------------------------------------------------------

    async def _close_old_turns(self) -> None:
        """Bill the turns that were in flight when aegis stopped, and give back what tasks never used."""
        await self._account.release(*(key for key in self._lost if key.startswith(TASK)))
        drafts: list[Draft] = []
        for key, held in self._lost.items():
            if not key.startswith(TASK):
                turn = self._kernel.post.turn(key)
                ended = turn.ended if turn else TurnEnded("interrupted", key)
                drafts.append(self._limiter.bill.lost(key, held.scopes, held.agent, held, ended))
        drafts += [
            self._late(turn)
            for turn in await self._account.unsettled()
            if turn.ended.turn not in self._lost and (turn.ended.usage or turn.ended.cost_usd)
        ]
        await self._account.settle(*drafts)
        self._lost = {}

    def _late(self, turn: TurnRecord) -> Draft:
        """Bill a turn under no budget that ended just before aegis died."""
        born = self._kernel.roster.born(turn.agent)
        scopes = scopes_of(born.profile, queue_of(str(born.by))) if born else (PROJECT,)
        return self._limiter.bill.lost(turn.ended.turn, scopes, turn.agent, None, turn.ended)
