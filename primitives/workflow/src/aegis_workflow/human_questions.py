"""What runs ask people: open until somebody answers, or nobody did in time; they outlast a restart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import trio

from aegis import Kernel, NotFound, Refused
from aegis.errors import listed
from aegis.events import Notice
from aegis.ledger import Draft
from aegis_workflow.errors import WorkflowError
from aegis_workflow.store import Run, RunStore


def asked_in(question: Mapping[str, Any]) -> str:
    """Return the text of a question, with the answers that it takes if it takes no others."""
    options = f" ({' | '.join(question['options'])})" if question["options"] else ""
    return f"{question['question']}{options}"


class HumanQuestions:
    """The open ones, by run and number."""

    def __init__(self, kernel: Kernel, store: RunStore) -> None:
        self._kernel, self._store = kernel, store
        self._answered: dict[tuple[str, str], trio.Event] = {}

    async def ask(
        self, run: Run, at: str, asked: dict[str, Any], seconds: float | None, kept: Mapping[str, Any] | None
    ) -> str:
        """Return the answer to the question of the step `at`; raises `WorkflowError` when nobody gave one in time."""
        questions = self._store.find(run.id).questions
        if at not in questions:
            fresh = {**questions, at: asked}
            await self._store.append(self._store.draft("asked", run.id, questions=fresh), *self._told(run, asked))
        if "answer" not in self._store.find(run.id).questions[at]:
            event = self._answered.setdefault((run.id, at), trio.Event())
            with trio.move_on_after(self._left(kept, seconds)):
                await event.wait()
        question = self._store.find(run.id).questions[at]
        if "answer" in question:
            return str(question["answer"])
        if asked["default"] is None:
            raise WorkflowError(f"nobody answered in {seconds:g} s: {asked['question']}")
        return str(asked["default"])

    def _told(self, run: Run, asked: dict[str, Any]) -> list[Draft]:
        """Show the question to everybody, and mail it to the person who began the run."""
        text = f"{asked_in(asked)}\n`aegis workflow answer {run.id} TEXT` answers it."
        self._kernel.bus.publish("", Notice(f"{run.name} asks: {text}", "warning", "workflow"))
        if not run.address.startswith("human:"):
            return []
        sender = f"workflow:{run.name}"
        letter = self._kernel.post.envelope(sender, run.address, text, hops=run.hops)
        return [self._kernel.post.accept(letter, short=f"It asks something: aegis workflow show {run.id}")]

    def _left(self, kept: Mapping[str, Any] | None, seconds: float | None) -> float:
        if seconds is None or not kept:
            return float("inf") if seconds is None else seconds
        spent = (self._kernel.clock.now() - datetime.fromisoformat(str(kept["asked_at"]))).total_seconds()
        return min(max(0.0, seconds - spent), seconds)

    async def give(self, run: Run, text: str, at: str = "") -> str:
        """Record the answer to the run's open question (or to the one at this step) and return the question."""
        open_ = {place: q for place, q in run.questions.items() if "answer" not in q}
        place = at or next(iter(open_), "")
        if place not in open_:
            asks = listed(f"{place}: {asked_in(q)}" for place, q in open_.items())
            raise NotFound(f"run {run.id} asks nothing" + (f" at {at!r} (it asks: {asks})" if at else ""))
        question = open_[place]
        if question["options"] and text not in question["options"]:
            raise Refused(f"{text!r} is not one of the answers: {listed(question['options'])}")
        given = {**run.questions, place: {**question, "answer": text}}
        await self._store.append(self._store.draft("answered", run.id, questions=given))
        if (event := self._answered.pop((run.id, place), None)) is not None:
            event.set()
        return str(question["question"])
