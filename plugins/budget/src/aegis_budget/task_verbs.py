"""What a queue asks before it hires: may this task begin, and hold what its first turn may spend."""

from __future__ import annotations

from typing import Any

import msgspec

from aegis import Caller, Kernel, report, verb
from aegis_budget.budgets import Budgets, scopes_of
from aegis_budget.limiter import Limiter
from aegis_budget.overshoot import Overshoot
from aegis_budget.settings import handed_over, number
from aegis_budget.store import TASK, Account


class Admission(msgspec.Struct, frozen=True):
    """That a task may begin: what is held for its first turn, and by how much each budget may be passed at worst.

    The first turn whose mail carries the task takes the reservation over; `budget release` gives it back; a restart
    does both for nobody.
    """

    task: str
    usd: str
    output_tokens: str
    max_overshoot: tuple[Overshoot, ...] = ()

    def __str__(self) -> str:
        return "; ".join(["admitted", *map(str, self.max_overshoot)])


class TaskVerbs:
    """The verbs of queues."""

    name = "admissions"

    def __init__(self, kernel: Kernel, account: Account, budgets: Budgets, limiter: Limiter) -> None:
        self._kernel, self._account, self._budgets, self._limiter = kernel, account, budgets, limiter

    @verb("budget admit", for_={"program"})
    async def admit(
        self,
        caller: Caller,
        task: str,
        queue: str,
        profile: str,
        budgets: list[dict[str, Any]] = [],  # noqa: B006 - a verb's default is its schema's
        check: bool = False,
    ) -> Admission:
        """Hold what the first turn of a task may spend; with `check` only say whether the queue may take it.

        `budgets` are the queue's own. Refused with `data`: `blocked_by`, and `unblock_at`, which is empty when it may
        begin as soon as a turn in flight has ended: `budget room` waits for that. A task that could begin then is
        taken: `check` refuses only where what was spent blocks.
        """
        await self._limiter.ready.wait()
        handed_over(queue, budgets)  # wrong ones stop the queue, and are not kept
        await self._account.hand(queue, budgets)
        settings, driver = self._kernel.config.profile(profile)
        scopes, model = scopes_of(profile, queue), settings.model or ""
        self._limiter.sound(scopes, profile, model)
        covering = self._budgets.covering(scopes)
        key = TASK + task
        held = self._account.open.get(key)
        if held is None:
            decision = self._limiter.decision(covering)
            if decision.unblock_at or not check:
                decision.refuse(self._limiter.project)
            held = self._limiter.holding(scopes, covering, driver, model)
            if check or not covering:
                return Admission(task, number(held.usd), number(held.output_tokens))
            await self._account.reserve(key, held)
        admission = Admission(
            task, number(held.usd), number(held.output_tokens), tuple(self._limiter.overshoots(covering))
        )
        report(str(admission))
        return admission

    @verb("budget room", for_={"program"}, read_only=True)
    async def room(self, caller: Caller, queue: str, profile: str) -> None:
        """Return once a task of the queue need not wait any more for what a turn in flight holds."""
        await self._limiter.ready.wait()
        covering = self._budgets.covering(scopes_of(profile, queue))
        while (decision := self._limiter.decision(covering)).blocked_by and not decision.unblock_at:
            await self._account.moved()

    @verb("budget release", for_={"program"})
    async def release(self, caller: Caller, task: str) -> None:
        """Give back what is held for a task of which no turn began; once is enough, twice does no harm."""
        await self._limiter.ready.wait()
        await self._account.release(TASK + task)
