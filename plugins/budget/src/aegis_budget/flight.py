"""A turn in flight, what it has used as far as anybody said, and what it is billed when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from aegis import Driver, NotFound
from aegis.events import TurnEnded, Usage
from aegis.ledger import Draft
from aegis_budget.budgets import Budgets
from aegis_budget.cost import cost_of
from aegis_budget.prices import price_of
from aegis_budget.settings import Unit
from aegis_budget.store import Account, Reservation

if TYPE_CHECKING:
    from aegis.turn import Turn


@dataclass(slots=True, eq=False)
class Flight:
    """A turn between its admission and its end; `used` is what the provider said so far."""

    turn: Turn
    scopes: tuple[str, ...]
    driver: Driver
    model: str
    used: dict[Unit, Decimal] = field(default_factory=lambda: {"usd": Decimal(0), "output_tokens": Decimal(0)})
    cut: bool = False

    def read(self, usage: Usage, budgets: Budgets) -> None:
        """Take in what the turn has used so far; what was said before is never taken back."""
        price = budgets.prices.find(self.driver.name, self.model)
        usd = price_of(usage, price) if price else Decimal(0)
        self.used = {
            "usd": max(self.used["usd"], usd),
            "output_tokens": max(self.used["output_tokens"], Decimal(usage.output)),
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """Writes what turns spent."""

    account: Account
    budgets: Budgets

    def flown(self, flight: Flight, ended: TurnEnded) -> Draft:
        """Return the record of a turn that is over."""
        held = self.account.open.get(flight.turn.id)
        return self._draft(
            ended, held, flight.scopes, flight.turn.agent_id, flight.driver.name, flight.model, flight.used
        )

    def lost(self, key: str, scopes: tuple[str, ...], agent: str, held: Reservation | None, ended: TurnEnded) -> Draft:
        """Return the record of a turn that aegis did not see to its end."""
        try:
            profile, driver = self.budgets.profile(scopes)
        except NotFound:  # its profile is gone; what is known of the cost does not need it
            return self._draft(ended, held, scopes, agent, "", "", {}, key)
        return self._draft(ended, held, scopes, agent, driver.name, profile.model or "", {}, key)

    def _draft(
        self, ended: TurnEnded, held: Reservation | None, scopes: tuple[str, ...], agent: str, provider: str,
        model: str, used: dict[Unit, Decimal], key: str = "",
    ) -> Draft:  # fmt: skip
        """A turn of which nobody knows what it used counts what was reserved for it, or what it used before that."""
        cost = cost_of(ended, provider, model, self.budgets.prices)
        usd, tokens = cost.usd, cost.output_tokens
        if usd is None:
            free = self.budgets.settings.unpriced == "allow"
            usd = max(Decimal(0) if free or held is None else held.usd, used.get("usd", Decimal(0)), cost.part_usd)
        if tokens is None:
            reserved = Decimal(0) if held is None else held.output_tokens
            tokens = int(max(reserved, used.get("output_tokens", Decimal(0)), Decimal(cost.part_output)))
        known: dict[Unit, object] = {"usd": cost.usd, "output_tokens": cost.output_tokens}
        return self.account.spending(
            key or ended.turn, usd, tokens, scopes, estimate=cost.estimate or cost.output_tokens is None, agent=agent,
            provider=provider, model=model, outcome=ended.outcome,
            unknown=[unit for unit, figure in known.items() if figure is None],
        )  # fmt: skip
