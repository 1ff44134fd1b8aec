"""The heart of a run: each step once, its result kept, and taken from what is kept when the run is played again."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

import msgspec
import trio

from aegis import AegisError, Kernel
from aegis.ledger import Draft, Record
from aegis_workflow.errors import BudgetExceeded, NeedsAttention, NonDeterminism, Unfinished, WorkflowError
from aegis_workflow.side_by_side import side_by_side
from aegis_workflow.store import Run, RunStore, Step, steps_of

_BREATH = 250  # steps
Work = Callable[[], Awaitable[Any]]
_place: ContextVar[tuple[str, list[int]]] = ContextVar("aegis_workflow_place")
_ERRORS = {cls.__name__: cls for cls in (BudgetExceeded, NonDeterminism, WorkflowError)}


class Steps:
    """The steps of one run: recorded ones are played, the first without a record is the first that is done."""

    def __init__(
        self, kernel: Kernel, store: RunStore, run: Run, most: int, *, dry: bool = False,
        records: list[Record] | None = None,
    ) -> None:  # fmt: skip
        """Take the run's steps, or those of these records, at most so many; `dry` only looks whether they fit."""
        self._most = most
        self.kernel, self.store, self.run, self._dry = kernel, store, run, dry
        self.known, self.decided, self.checkpoint = steps_of(store.records(run.id) if records is None else records)
        self.played = 0
        self.stopped: AegisError | None = None  # why no further step is taken, whatever the workflow's code catches
        self._taken: set[str] = set()
        self._counts: dict[str, list[int]] = {}
        places = [at.split(".") for at in self.known]
        self._inside = {".".join(parts[:n]) for parts in places for n in range(1, len(parts), 2)}  # of parallel ones

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

    @property
    def replaying(self) -> bool:
        """True as long as the next step is one that is on record."""
        return self.peek() in self.known or self.peek() in self._inside

    async def _next(self, kind: str, what: str) -> str:
        """Take that place; raises what stopped the run, and `NonDeterminism` when something else was done here."""
        if self.played % _BREATH == 0:  # a long record is played in one go, and others want to live
            await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint_if_cancelled()  # what is cut short must not leave a record behind
        if self.stopped:
            raise self.stopped
        at = self.peek()
        if len(self._taken) >= self._most:  # each is kept for ever
            how = "(`workflows.steps`); let each piece of the work be a run of its own"
            raise WorkflowError(f"a run takes at most {self._most:,} steps {how}")
        _place.get()[1][0] += 1
        self._taken.add(at)
        step = self.known.get(at)
        if step and (step.kind, step.what) != (kind, what):
            self._differ(f"step {at} was `{step.kind} {step.what}` and is now `{kind} {what}`")
        if not step and at in self._inside and kind != "parallel":
            self._differ(f"step {at} was `parallel` and is now `{kind} {what}`")
        if self._dry and not step and kind != "parallel":
            if self.run.over:
                self._differ(f"step {at} was not there and is now `{kind} {what}`")
            self.stopped = Unfinished(f"step {at}, `{kind} {what}`, is not on record yet")
            raise self.stopped
        return at

    def finish(self) -> None:
        """Raise `NonDeterminism` when steps are on record that the workflow, which is over, did not take."""
        for at, step in self.known.items():
            if "." not in at and at not in self._taken:
                self._differ(f"step {at} was `{step.kind} {step.what}` and is now not there")

    def _differ(self, how: str) -> NoReturn:
        self.stopped = NonDeterminism(
            f"{how}: the workflow {self.run.name!r} must take the same steps each time (is its code another, or does "
            "it ask the time, the disk, chance?)"
        )
        raise self.stopped

    async def take(
        self,
        kind: str,
        what: str,
        work: Work,
        *,
        begin: Callable[[Draft], Awaitable[Any]] | None = None,
        recover: Callable[[dict[str, Any]], Awaitable[Any]] | None = None,
        again: bool = False,
        skipped: Any = None,
        stale: Callable[[], Awaitable[None]] | None = None,
        admit: Callable[[], Awaitable[None]] | None = None,
        **data: Any,
    ) -> Any:
        """Return the step's result, from the record if there is one.

        `begin` stores the record of the beginning together with what belongs to it. Of a step that had begun when aegis
        stopped `recover` finds out what became of it, from what was recorded (`data`), a person's `decision` and a
        `redo` record for a new beginning; without it the step is done `again`, or needs a person's word. `skipped` is
        the result of a step that a person leaves out; `stale` ends what is left of one that was cut off. `admit` raises
        when the step must not be done; it is asked before the step is on record as begun.
        """
        at = await self._next(kind, what)
        step = self.known.get(at)
        if step and step.done:
            self.played += 1
            return _result(step)
        if self._dry:
            self.stopped = Unfinished(f"step {at}, `{kind} {what}`, has not ended yet")
            raise self.stopped
        if step is None:
            if admit:
                await self._admitted(at, kind, what, admit)
            draft = self._draft("begun", at, kind, what, **data)
            await (begin(draft) if begin else self.store.append(draft))
        elif step:
            if stale:
                await stale()
            decision = self.decided.get(at, "")
            if decision in ("skip", "fail"):
                return await self._finish(at, kind, what, _giving(skipped) if decision == "skip" else _failing(what))
            if recover:
                kept = {**step.data, "decision": decision, "redo": self._draft("begun", at, kind, what, **data)}
                return await self._finish(at, kind, what, lambda: recover(kept))
            if not again and decision != "rerun":
                self.stopped = NeedsAttention(at, f"{kind} {what}")
                raise self.stopped
            if admit:
                await self._admitted(at, kind, what, admit)
        return await self._finish(at, kind, what, work)

    async def note(self, kind: str, what: str, value: Any = None, together: Callable[[], list[Draft]] = list) -> Any:
        """Return the value of a step that is done by being recorded, in one write with what belongs to it."""
        at = await self._next(kind, what)
        if step := self.known.get(at):
            self.played += 1
            return _result(step)
        await self.store.append(self._draft("done", at, kind, what, value=value), *together())
        return value

    async def _finish(self, at: str, kind: str, what: str, work: Work) -> Any:
        try:
            value = msgspec.to_builtins(await work(), enc_hook=str)
        except NeedsAttention as error:
            self.stopped = NeedsAttention(at, f"{kind} {what}")
            raise self.stopped from error
        except AegisError as error:
            await self._failed(at, kind, what, error)
        await self.store.append(self._draft("done", at, kind, what, value=value))
        return value

    async def _admitted(self, at: str, kind: str, what: str, admit: Callable[[], Awaitable[None]]) -> None:
        try:
            await admit()
        except AegisError as error:
            await self._failed(at, kind, what, error)

    async def _failed(self, at: str, kind: str, what: str, error: AegisError) -> NoReturn:
        failed = msgspec.json.encode([type(error).__name__, str(error)]).decode()
        await self.store.append(self._draft("done", at, kind, what, failed=failed))
        raise error if isinstance(error, WorkflowError) else WorkflowError(str(error), **error.data) from error

    def _draft(self, record: str, at: str, kind: str, what: str, **data: Any) -> Draft:
        return self.store.draft(record, self.run.id, at_step=at, step=kind, what=what, **data)

    # -- side by side -------------------------------------------------------------------------------------------

    async def fork(self) -> str:
        """Take the step of which works begin side by side, and return its place: theirs are below it."""
        return await self._next("parallel", "")

    async def parallel(self, works: Sequence[Awaitable[Any]]) -> list[Any]:
        """Return the results of the awaitables, run side by side; the first failure stops the others."""
        at = await self.fork()
        return await side_by_side(works, lambda number: self.branch(f"{at}.{number + 1}."))

    @contextmanager
    def within(self, place: str) -> Iterator[None]:
        """Number the steps taken inside on from those that were taken below this place before."""
        token = _place.set((place, self._counts.setdefault(place, [0])))
        try:
            yield
        finally:
            _place.reset(token)


def _result(step: Step) -> Any:
    if not step.error:
        return step.result
    kind, message = msgspec.json.decode(step.error)
    raise _ERRORS.get(kind, WorkflowError)(message)


def _giving(value: Any) -> Work:
    async def give() -> Any:
        return value

    return give


def _failing(what: str) -> Work:
    async def fail() -> None:
        raise WorkflowError(f"{what}: a person decided that it failed")

    return fail


def brief(text: str) -> str:
    """Return how a step is named in the record: the first line, and a digest of all of it."""
    first = (text.strip().splitlines() or [""])[0][:60]
    return f"{first} #{zlib.crc32(text.encode()):08x}"
