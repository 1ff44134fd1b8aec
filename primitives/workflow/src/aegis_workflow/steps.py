"""The heart of a run: each step once, its result kept, and taken from what is kept when the run is played again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import trio

from aegis import AegisError, Kernel
from aegis.ledger import Draft
from aegis_workflow.errors import BudgetExceeded, NeedsAttention, NonDeterminism, WorkflowError
from aegis_workflow.journal import Journal, Run, Step

Work = Callable[[], Awaitable[Any]]
_place: ContextVar[tuple[str, list[int]]] = ContextVar("aegis_workflow_place")
_ERRORS = {cls.__name__: cls for cls in (BudgetExceeded, NonDeterminism, WorkflowError)}


class Steps:
    """The steps of one run: recorded ones are played, the first without a record is the first that is done."""

    def __init__(self, kernel: Kernel, journal: Journal, run: Run, *, dry: bool = False) -> None:
        """Take the run's steps; `dry` only looks whether they are the recorded ones."""
        self.kernel, self.journal, self.run, self._dry = kernel, journal, run, dry
        self.known, self.decided, self.checkpoint = journal.steps(run.id)
        self.played = 0

    @contextmanager
    def branch(self, place: str = "") -> Iterator[None]:
        """Number the steps taken inside from 1, below this place."""
        token = _place.set((place, [0]))
        try:
            yield
        finally:
            _place.reset(token)

    def peek(self) -> str:
        """Return the place of the next step, the same in every attempt: `4`, or `4.2.1` inside a parallel one."""
        prefix, counter = _place.get()
        return f"{prefix}{counter[0] + 1}"

    def next(self) -> str:
        """Take that place."""
        at = self.peek()
        _place.get()[1][0] += 1
        return at

    async def take(
        self,
        kind: str,
        what: str,
        work: Work,
        *,
        begin: Callable[[Draft], Awaitable[Any]] | None = None,
        recover: Callable[[dict[str, Any]], Awaitable[Any]] | None = None,
        again: bool = False,
        quick: bool = False,
        **data: Any,
    ) -> Any:
        """Return the step's result, from the record if there is one.

        `begin` stores the record of the beginning together with what belongs to it. Of a step that had begun when aegis
        stopped `recover` finds out what became of it, from what was recorded (`data`), a person's `decision` and a
        `redo` record for a new beginning; without it the step is done `again`, or needs a person's word. A `quick` step
        has no outside effect and is recorded once, when it is done.
        """
        at = self.next()
        step = self.known.get(at)
        if step:
            self._same(at, step, kind, what)
            if step.done:
                self.played += 1
                return _result(step)
        self._must_do(at, kind, what)
        if step is None and not quick:
            draft = self._draft("begun", at, kind, what, **data)
            await (begin(draft) if begin else self.journal.store(draft))
        elif step:
            decision = self.decided.get(at, "")
            if decision in ("skip", "fail"):
                return await self._finish(at, kind, what, _nothing if decision == "skip" else _failing(what))
            if recover:
                kept = {**step.data, "decision": decision, "redo": self._draft("begun", at, kind, what, **data)}
                return await self._finish(at, kind, what, lambda: recover(kept))
            if not again and decision != "rerun":
                raise NeedsAttention(at, f"{kind} {what}")
        return await self._finish(at, kind, what, work)

    async def note(self, kind: str, what: str, value: Any = None, together: Callable[[], list[Draft]] = list) -> Any:
        """Return the value of a step that is done by being recorded, in one write with what belongs to it."""
        at = self.next()
        if step := self.known.get(at):
            self._same(at, step, kind, what)
            self.played += 1
            return _result(step)
        self._must_do(at, kind, what)
        await self.journal.store(self._draft("done", at, kind, what, value=value), *together())
        return value

    def _must_do(self, at: str, kind: str, what: str) -> None:
        if self._dry:
            raise NonDeterminism(f"step {at}, `{kind} {what}`, is not in the record")

    def _same(self, at: str, step: Step, kind: str, what: str) -> None:
        if (step.kind, step.what) != (kind, what):
            raise NonDeterminism(
                f"step {at} was `{step.kind} {step.what}` and is now `{kind} {what}`: the workflow {self.run.name!r} "
                "must take the same steps each time (is its code another, or does it ask the time, the disk, chance?)"
            )

    async def _finish(self, at: str, kind: str, what: str, work: Work) -> Any:
        try:
            value = msgspec.to_builtins(await work(), enc_hook=str)
        except NeedsAttention as error:
            raise NeedsAttention(at, f"{kind} {what}") from error
        except AegisError as error:
            failed = msgspec.json.encode([type(error).__name__, str(error)]).decode()
            await self.journal.store(self._draft("done", at, kind, what, failed=failed))
            raise error if isinstance(error, WorkflowError) else WorkflowError(str(error), **error.data) from error
        await self.journal.store(self._draft("done", at, kind, what, value=value))
        return value

    def _draft(self, record: str, at: str, kind: str, what: str, **data: Any) -> Draft:
        return self.journal.draft(record, self.run.id, at_step=at, step=kind, what=what, **data)

    # -- side by side -------------------------------------------------------------------------------------------

    async def parallel(self, works: Sequence[Awaitable[Any]]) -> list[Any]:
        """Return the results of the awaitables, run side by side; the first failure stops the others."""
        at, results = self.next(), [None] * len(works)

        async def one(number: int, work: Awaitable[Any]) -> None:
            with self.branch(f"{at}.{number + 1}."):
                results[number] = await work

        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                for number, work in enumerate(works):
                    nursery.start_soon(one, number, work)
        except BaseExceptionGroup as group:
            failure = _first(group)
        if failure:
            raise failure
        return results


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: that a person is needed, before a failure, before a cancellation."""
    ranks = (NeedsAttention, WorkflowError, Exception)
    leaves: list[BaseException] = [group]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [e for leaf in leaves for e in getattr(leaf, "exceptions", (leaf,))]
    return min(leaves, key=lambda e: next((n for n, kind in enumerate(ranks) if isinstance(e, kind)), -1))


def _result(step: Step) -> Any:
    if not step.error:
        return step.result
    kind, message = msgspec.json.decode(step.error)
    raise _ERRORS.get(kind, WorkflowError)(message)


async def _nothing() -> None:
    return None


def _failing(what: str) -> Work:
    async def fail() -> None:
        raise WorkflowError(f"{what}: a person decided that it failed")

    return fail
