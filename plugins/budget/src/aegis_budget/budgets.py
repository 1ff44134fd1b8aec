"""The budgets in force: which cover whom, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import trio

from aegis import ConfigError, Driver, Kernel, NotFound, Profile, Refused
from aegis.errors import listed, nearest
from aegis.project import FILE
from aegis_budget.prices import Prices, says_costs
from aegis_budget.settings import BudgetsSettings, Entry, handed_over
from aegis_budget.store import Account

PROJECT, WORKER_OF = "project", "queue:"


def scopes_of(profile: str, queue: str = "") -> tuple[str, ...]:
    """Return where a turn's spending counts, the narrowest scope first."""
    return (*((f"queue:{queue}",) if queue else ()), f"profile:{profile}", PROJECT)


def queue_of(by: str) -> str:
    """Return the queue whose worker an agent is, from what the roster has as its origin; empty when it is none."""
    return by.removeprefix(WORKER_OF) if by.startswith(WORKER_OF) else ""


class Budgets:
    """The section `budgets` together with the budgets in the sections of queues, read again only when they change."""

    def __init__(self, kernel: Kernel, sections: Mapping[str, Any], account: Account) -> None:
        self._kernel, self._sections, self._account = kernel, sections, account
        self.changed = trio.Event()
        self.refresh()

    def refresh(self) -> None:
        """Read the configuration again; `changed` is set, and another event takes its place."""
        self.settings: BudgetsSettings = self._sections["budgets"]
        self.prices = Prices(self.settings)
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._faulty: dict[tuple[tuple[str, ...], str, str], str] = {}
        self.changed.set()
        self.changed = trio.Event()

    @property
    def any(self) -> bool:
        """Whether there is a budget at all."""
        own = self.settings
        return bool(own.project or own.profiles or own.queues or any(self._account.handed.values()))

    async def hand(self, queue: str, budgets: list[dict[str, Any]]) -> None:
        """Remember the budgets in a queue's own section; raises `Refused` when they are wrong, and keeps none then."""
        handed_over(queue, budgets)
        await self._account.hand(queue, budgets)
        self._entries.pop(f"queue:{queue}", None)
        self._faulty.clear()

    def profile(self, scopes: tuple[str, ...]) -> tuple[Profile, Driver]:
        """Return the profile among the scopes and its driver; raises `NotFound` when it is gone."""
        return self._kernel.config.profile(next(s for s in scopes if s.startswith("profile:")).partition(":")[2])

    def entries(self, scope: str) -> tuple[Entry, ...]:
        """Return the budgets of one scope; raises `Refused` when a queue was given wrong ones."""
        if scope not in self._entries:
            self._entries[scope] = self._read(scope)
        return self._entries[scope]

    def _read(self, scope: str) -> tuple[Entry, ...]:
        kind, _, name = scope.partition(":")
        if kind == PROJECT:
            return self.settings.project
        if kind == "profile":
            return self.settings.profiles.get(name, ())
        own = self.settings.queues.get(name, ())
        given = handed_over(name, self._account.handed.get(name, ()))
        return (*own, *(entry for entry in given if entry not in own))

    def covering(self, scopes: tuple[str, ...]) -> list[tuple[str, Entry]]:
        """Return every budget that must allow a turn, with its scope."""
        return [(scope, entry) for scope in scopes for entry in self.entries(scope)]

    def scopes(self) -> list[str]:
        """Return every scope that has a budget."""
        queues = {**self.settings.queues, **{q: b for q, b in self._account.handed.items() if b}}
        named = [f"profile:{name}" for name in self.settings.profiles] + [f"queue:{name}" for name in queues]
        return [scope for scope in (PROJECT, *sorted(named)) if self.entries(scope)]

    def queues(self) -> list[str]:
        """Return the name of every queue, those without a budget too."""
        try:
            here = list(self._kernel.config.section("queues"))
        except KeyError:  # nothing here has queues
            here = []
        return sorted({*here, *(scope.partition(":")[2] for scope in self.scopes() if scope.startswith("queue:"))})

    def scope(self, name: str) -> str:
        """Return the scope that a person means: a queue, or a profile with a budget, may go by its bare name."""
        if name == PROJECT or ":" in name:
            return name
        return next((s for s in (f"queue:{q}" for q in self.queues()) if s == f"queue:{name}"), "") or next(
            (s for s in self.scopes() if s == f"profile:{name}"), name
        )

    # -- mistakes -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `ConfigError` when a budget names nobody, or could not hold the profiles it covers."""
        for wrong in self._mistakes():
            raise ConfigError(f"{self._kernel.project.root / FILE}: {wrong}")

    def _mistakes(self) -> Iterator[str]:
        yield from self._unknown_profiles()
        for name in self._kernel.config.profiles:
            profile, driver = self._kernel.config.profile(name)
            if wrong := self.unpriced(self.covering(scopes_of(name)), name, driver, profile.model or ""):
                yield wrong
        yield from self._mistakes_in_queues()

    def _mistakes_in_queues(self) -> Iterator[str]:
        """Look at what a section `queues` says, if the project has one, before the first task does."""
        try:
            queues = self._kernel.config.section("queues")
        except KeyError:  # nothing here has queues
            return
        for name, queue in queues.items():
            try:
                own = handed_over(name, [entry.model_dump(exclude_none=True) for entry in queue.budgets])
                profile, driver = self._kernel.config.profile(queue.agent)
            except NotFound:  # the plugin that has the queues says so
                continue
            except Refused as refusal:
                yield str(refusal)
                continue
            scopes = scopes_of(queue.agent, name)
            covering = [*self.covering(scopes), *((scopes[0], entry) for entry in own)]
            if wrong := self.unpriced(covering, queue.agent, driver, profile.model or ""):
                yield wrong

    def _unknown_profiles(self, *, misspelt: bool = True) -> Iterator[str]:
        """Yield a sentence for each budget of a profile that is nearly the name of one; or of any that is not here."""
        names = self._kernel.config.names()
        for name in sorted(self.settings.profiles.keys() - {*names, *self._kernel.config.unusable}):
            if bool(near := nearest(name, names)) is misspelt:
                yield f"budgets.profiles.{name}: there is no profile {name!r} (profiles: {listed(names)}).{near}"

    def remarks(self) -> Iterator[str]:
        """Yield a sentence for each budget that covers nobody here."""
        file = self._kernel.project.root / FILE
        for sentence in self._unknown_profiles(misspelt=False):
            yield f"{file}: {sentence} It covers nobody."
        try:
            queues = self._kernel.config.section("queues")
        except KeyError:
            for name in sorted(self.settings.queues):
                yield f"{file}: budgets.queues.{name}: nothing here has queues (aegis-queue would). It covers nobody."
            return
        for name in sorted(self.settings.queues.keys() - queues.keys()):
            there = f"there is no queue {name!r} (queues: {listed(queues)}).{nearest(name, queues)}"
            yield f"{file}: budgets.queues.{name}: {there} It covers nobody."

    def wrong(self, scopes: tuple[str, ...], profile: str, model: str) -> str:
        """Return why these budgets cannot hold a turn, empty when they can; what cannot be held must not begin."""
        if (key := (scopes, profile, model)) not in self._faulty:
            self._faulty[key] = self._fault(*key)
        return self._faulty[key]

    def _fault(self, scopes: tuple[str, ...], profile: str, model: str) -> str:
        if unknown := next(self._unknown_profiles(), ""):
            return unknown
        try:
            driver = self._kernel.config.profile(profile)[1]
        except NotFound as error:
            return str(error)
        return self.unpriced(self.covering(scopes), profile, driver, model)

    def unpriced(self, covering: Sequence[tuple[str, Entry]], profile: str, driver: Driver, model: str) -> str:
        """Return why a dollar budget among these cannot hold a profile, empty when it can."""
        capped = next((f"{scope} ({entry})" for scope, entry in covering if entry.unit == "usd"), "")
        known = says_costs(driver) or self.prices.find(driver.name, model) or self.settings.unpriced == "allow"
        if not capped or known:
            return ""
        what = f"its model {model!r} has no known price" if model else "it names no model, so its price is not known"
        return (
            f"the budget of {capped} cannot hold the profile {profile!r}: {what}, and {driver.name} does not say what "
            f"turns cost. Give it a price (budgets.prices.{driver.name}.{model or 'MODEL'}: {{input: …, output: …}}), "
            "or set budgets.unpriced to allow or to dollars per million tokens, or limit output_tokens instead of usd"
        )
