"""The interceptor that lets turns and tasks begin, reserves what they may spend, and records what they spent."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aegis import Driver, Hold, Kernel, Refused, Work
from aegis.events import Notice, TurnEnded
from aegis_budget.budgets import Budgets, queue_of, scopes_of
from aegis_budget.decision import Check, Decision, check
from aegis_budget.flight import Bill, Flight
from aegis_budget.notes import Notes
from aegis_budget.overshoot import Overshoot, overshoot, steps
from aegis_budget.settings import Entry, Unit
from aegis_budget.store import TASK, Account, Reservation

if TYPE_CHECKING:
    from aegis.agent import Agent
    from aegis.turn import Turn


class Limiter:
    """Checks every turn, and every task of a queue before its worker is started."""

    name = "budget"
    order = 90  # after policies that may refuse the turn anyway
    strict = True

    def __init__(self, kernel: Kernel, account: Account, budgets: Budgets, notes: Notes) -> None:
        self._kernel, self._account, self._budgets, self._notes = kernel, account, budgets, notes
        self.bill = Bill(account, budgets)
        self.flights: dict[str, Flight] = {}
        self.models: dict[str, str] = {}  # what agents' sessions said their model is
        self.ready = trio.Event()
        self.down = ""  # why nothing is metered any more
        self._told: dict[str, str] = {}

    # -- turns --------------------------------------------------------------------------------------------------

    def before_turn(self, turn: Turn) -> Awaitable[None] | None:
        """Hold what the turn may spend; raises `Refused` with the rejection when a budget does not allow it."""
        agent = self._kernel.roster.get(turn.agent_id)
        if agent is None:
            raise Refused("the agent of this turn is gone")
        if self._budgets.any or not self.ready.is_set() or self._flown_by(agent.id):
            return self._held(turn, agent)
        model = self.models.get(agent.id) or agent.profile.model or ""
        self.flights[turn.id] = Flight(
            turn, scopes_of(agent.profile_name, queue_of(agent.by)), agent.driver, model
        )  # there is no budget: it is only counted
        return None

    async def _held(self, turn: Turn, agent: Agent) -> None:
        if not self.ready.is_set():
            await self.ready.wait()
        await self.sweep(agent.id, over=True)
        model = self.models.get(agent.id) or agent.profile.model or ""
        flight = Flight(turn, scopes_of(agent.profile_name, queue_of(agent.by)), agent.driver, model)
        tasks = [TASK + letter.envelope.task_id for letter in turn.letters]
        taken = next((task for task in tasks if task in self._account.open), "")
        self.sound(flight.scopes, agent.profile_name, model)
        covering = self._budgets.covering(flight.scopes)
        if covering and taken:
            held = msgspec.structs.replace(self._account.open[taken], agent=agent.id, took=taken)
            await self._account.reserve(turn.id, held)
        elif covering:
            self.decision(covering).refuse(self.project)
            held = self.holding(flight.scopes, covering, agent.driver, model)
            await self._account.reserve(turn.id, msgspec.structs.replace(held, agent=agent.id))
        self.flights[turn.id] = flight
        self._tell(agent.id, self.overshoots(covering))

    def after_turn(self, turn: Turn, ended: TurnEnded) -> Awaitable[None] | None:
        """Write down what the turn spent, and hold nothing for it any more."""
        flight = self.flights.pop(turn.id, None)
        if flight is None:
            return None
        if turn.sent and turn.id not in self._account.open:  # under no budget: nobody waits for the room
            self._account.note(self.bill.flown(flight, ended))
            self._notes.show()
            return None
        return self._over(flight, ended)

    def agent_closed(self, agent_id: str) -> Awaitable[None] | None:
        """Forget the agent."""
        for known in (self.models, self._told):
            known.pop(agent_id, None)
        return self.sweep(agent_id, over=True) if self._flown_by(agent_id) else None

    def _flown_by(self, agent_id: str) -> list[Flight]:
        return [flight for flight in self.flights.values() if flight.turn.agent_id == agent_id]

    async def sweep(self, agent_id: str, *, over: bool = False) -> None:
        """Account for turns the agent left without a word: given back when the CLI never took them.

        With `over` also those it did take, whose end could not be stored.
        """
        agent = self._kernel.roster.get(agent_id)
        for flight in self._flown_by(agent_id):
            begun = flight.turn.begun.is_set()
            if (agent and agent.turn is flight.turn) or (begun and not over):
                continue
            self.flights.pop(flight.turn.id, None)
            if begun:
                await self._over(flight, flight.turn.ended or TurnEnded("interrupted", flight.turn.id))
            else:
                await self._account.release(flight.turn.id)

    async def _over(self, flight: Flight, ended: TurnEnded) -> None:
        if flight.turn.sent:
            await self._account.write(self.bill.flown(flight, ended))
            self._notes.show()
        else:
            await self._account.release(flight.turn.id)

    # -- work that has no agent yet -----------------------------------------------------------------------------

    def admit(self, work: Work) -> Awaitable[Hold | None] | None:
        """Reserve what the first turn of the work may spend, or say why it must wait.

        The first turn whose mail has the work's id as its task takes the reservation over; `release` gives it back, and
        so does a restart. Work that is only asked about is refused when what was *spent* blocks it.
        """
        given = list(work.terms.get("budgets", ()))
        if given:
            work.kept.add("budgets")
        return self._admit(work, given) if given or self._budgets.any else None

    async def _admit(self, work: Work, given: list[dict[str, Any]]) -> Hold | None:
        queue = work.place if work.kind == "task" else ""
        await self.ready.wait()
        if queue:
            await self._budgets.hand(queue, given)
        settings, driver = self._kernel.config.profile(work.profile)
        scopes, model = scopes_of(work.profile, queue), settings.model or ""
        self.sound(scopes, work.profile, model)
        covering = self._budgets.covering(scopes)
        if not covering or TASK + work.id in self._account.open:
            return None
        decision = self.decision(covering)
        if work.only_ask:
            if decision.unblock_at:
                decision.refuse(self.project)
            return None
        if decision.blocked_by:
            until = decision.unblock_at
            return Hold(decision.sentence(self.project), until, self._budgets.changed if until else self._account.moved)
        await self._account.reserve(TASK + work.id, self.holding(scopes, covering, driver, model))
        return None

    def release(self, work: Work) -> Awaitable[None] | None:
        """Give back what is reserved for the work and no turn took over; twice does no harm."""
        return self._release(TASK + work.id) if TASK + work.id in self._account.open else None

    async def _release(self, key: str) -> None:
        await self.ready.wait()
        await self._account.release(key)

    def refresh(self) -> None:
        """Read the configuration again, and let whatever waits for a budget ask again."""
        self._budgets.refresh()
        self._account.wake()
        self._notes.show()

    # -- deciding -----------------------------------------------------------------------------------------------

    @property
    def project(self) -> str:
        """What a refusal calls the project."""
        return self._kernel.project.root.name

    def sound(self, scopes: tuple[str, ...], profile: str, model: str) -> None:
        """Raise `Refused` when the budgets are wrong or cannot be held: nothing is ever spent uncapped in silence."""
        if wrong := self._budgets.wrong(scopes, profile, model):
            raise Refused(wrong)
        if self.down and self._budgets.covering(scopes):
            raise Refused(f"nothing may be spent under a budget: its meter is down ({self.down}); start aegis again")

    def decision(self, covering: Sequence[tuple[str, Entry]]) -> Decision:
        """Return how every budget stands now."""
        return Decision([self.check(scope, entry) for scope, entry in covering])

    def check(self, scope: str, entry: Entry) -> Check:
        """Return how one budget stands now."""
        return check(self._account, scope, entry)

    def holding(
        self, scopes: tuple[str, ...], covering: Sequence[tuple[str, Entry]], driver: Driver, model: str
    ) -> Reservation:
        """Return what is to be held for one turn: the estimate, and no more than there is room for."""
        estimate = self._budgets.settings.turn

        def most(unit: Unit, guess: Decimal) -> Decimal:
            ours = [(scope, entry) for scope, entry in covering if entry.unit == unit]
            rooms = [self.check(scope, entry).left for scope, entry in ours]
            words = [entry.turn_most for _, entry in ours if entry.turn_most is not None]
            return max(min(guess, *rooms, *words), Decimal(0)) if ours else Decimal(0)

        step_usd, step_tokens = steps(driver, self._budgets.prices.find(driver.name, model))
        usd, tokens = most("usd", estimate.usd), most("output_tokens", Decimal(estimate.output_tokens))
        return Reservation(scopes, usd, tokens, step_usd, step_tokens)

    def overshoots(self, covering: Sequence[tuple[str, Entry]]) -> list[Overshoot]:
        """Return by how much each budget may be passed by what is in flight now."""
        return [overshoot(self._account, scope, entry) for scope, entry in covering]

    def _tell(self, agent_id: str, found: list[Overshoot]) -> None:
        text = "; ".join(map(str, found))
        if text and self._told.get(agent_id) != text:
            self._told[agent_id] = text
            self._kernel.bus.publish(agent_id, Notice(f"budget: {text}", "info", "budget"))
