"""What days of work leave in a ledger, written straight into it before a kernel opens it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import trio

from aegis import Caller
from aegis.clock import new_id
from aegis.envelope import Envelope
from aegis.project import Project
from aegis_ledger.book import Draft
from aegis_ledger.ledger import Ledger

THEN = "2026-01-05T10:00:00Z"
ANNA = "human:anna"
BODY = "x" * 300
# A kernel that is measured may have more than is wise, and be asked more often.
LIMITS = (
    "limits: {max_agents_in_all: 100000, max_agents: 100000, mailbox_letters: 1000000, mailbox_bytes: 1000000000,\n"
    "  calls_per_minute: 1000000, changes_per_minute: 1000000, sends_per_minute: 1000000,\n"
    "  spawns_per_minute: 1000000, tasks_per_minute: 1000000, calls_per_minute_of_people: 1000000}\n"
)
_AT_ONCE = 2_000  # rows of a commit


def _letter(recipient: str, **more: str) -> tuple[str, Draft]:
    made = new_id()
    envelope = Envelope(made, "agent:bo", recipient, THEN, BODY, trace=made, **more)
    return made, Draft("mail", "accepted", made, msgspec.to_builtins(envelope))


def letters(recipient: str) -> Iterator[list[Draft]]:
    """Yield letters that wait for whoever reads this mailbox."""
    while True:
        yield [_letter(recipient)[1]]


def turns(agent: str) -> Iterator[list[Draft]]:
    """Yield letters to an agent with their turns, all over."""
    while True:
        letter, accepted = _letter(agent)
        turn = {"agent": agent, "outcome": "completed", "turn": new_id(), "reply": BODY, "cost_usd": 0.0}
        ended = {"recipient": agent, "turn": turn["turn"], "outcome": "completed", "reason": ""}
        yield [
            accepted,
            Draft("mail", "injected", letter, {"recipient": agent, "turn": turn["turn"]}),
            Draft("mail", "turn", str(turn["turn"]), turn),
            Draft("mail", "ended", letter, ended),
        ]


def agents(profile: str, name: str = "old") -> Iterator[list[Draft]]:
    """Yield agents that are not closed: they are back, asleep, when a kernel opens the project."""
    by = msgspec.to_builtins(Caller("human", "anna"))
    number = 0
    while True:
        number += 1
        seen = {"handle": f"{name}-{number}", "profile": profile, "by": by, "born": THEN}
        yield [Draft("roster", "spawned", new_id(), seen)]


def closed_agents(profile: str) -> Iterator[list[Draft]]:
    """Yield agents that were spawned and closed."""
    for [spawned] in agents(profile, "gone"):
        ended = {"reason": "closed", "handle": spawned.data["handle"]}
        yield [spawned, Draft("roster", "closed", spawned.key, ended)]


def pending(queue: str) -> Iterator[list[Draft]]:
    """Yield tasks that wait in a queue."""
    while True:
        yield [_enqueued(new_id(), queue)]


def paused(queue: str) -> Draft:
    """Return the record that stops a queue."""
    return Draft("queue", "control", queue, {"mode": "paused"})


def finished(queue: str) -> Iterator[list[Draft]]:
    """Yield tasks that are done, whose callbacks have been read."""
    while True:
        task = new_id()
        begun = {"state": "running", "worker": new_id(), "worker_handle": "one-abcd", "envelope": new_id()}
        ended = {"state": "completed", "outcome": "ok", "result": BODY, "completed_at": THEN}
        callback, accepted = _letter(ANNA, task_id=task, status="ok")
        yield [
            _enqueued(task, queue),
            Draft("queue", "dispatched", task, {"queue": queue, "attempt": 1, "started_at": THEN, **begun}),
            accepted,
            Draft("queue", "completed", task, {"queue": queue, **ended}),
            Draft("mail", "read", callback, {"recipient": ANNA}),
        ]


def _enqueued(task: str, queue: str) -> Draft:
    said = {"task_id": task, "queue": queue, "payload": BODY, "enqueued_by": ANNA, "enqueued_at": THEN}
    return Draft("queue", "enqueued", task, {**said, "address": ANNA, "callback": True})


def sections(count: int) -> str:
    """Return a Markdown document of so many sections."""
    return "# Plan\n" + "".join(f"\n## Section {n}\n\n{'words ' * 12}\n" for n in range(count))


def write(project: Path, *kinds: tuple[Iterable[list[Draft]], int]) -> None:
    """Write so many of each kind into the ledger of a project in which no kernel runs."""
    trio.run(_write, project, kinds)


async def _write(project: Path, kinds: Iterable[tuple[Iterable[list[Draft]], int]]) -> None:
    place = Project(project.resolve())
    place.prepare()
    ledger = Ledger(place.state / "ledger.db", lambda: THEN)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        for kind, count in kinds:
            drafts: list[Draft] = []
            source = iter(kind)
            for _ in range(count):
                drafts += next(source)
                if len(drafts) >= _AT_ONCE:
                    await ledger.append(*drafts)
                    drafts = []
            if drafts:
                await ledger.append(*drafts)
        nursery.cancel_scope.cancel()
