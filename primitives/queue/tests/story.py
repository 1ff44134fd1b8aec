"""A random day of two queues: everything that can happen to a task happens, in any order, also a crash at any commit.

The story keeps no model of its own beside what it was told (acknowledged tasks) and what the workers saw; all the rest
is held against the ledger, folded by other code (`books`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import trio
from books import Books
from player_driver import Player, Players, begin, crash, done, failing, hang, killed, mute
from queue_stage import ANNA, Queues

import aegis_queue.plugin
from aegis import LaunchError, NotFound, Refused, hookimpl
from aegis.app import open_kernel
from aegis.clock import stamp
from aegis.testing.clock import TestClock
from aegis_queue.store import LedgerBroker
from aegis_queue.testing_lives import active

CAPS = {"one": 1, "many": 3}
CONFIG = """\
plugins: {queue: {broker: watched}}
queues:
  one: {agent: player, timeout: 600}
  many: {agent: player, max_parallel: 3, retries: 2, backoff: 5, timeout: 600, retry_on: [error, interrupted]}
"""
ENDINGS = (done, done, done, mute, crash, failing("no"), failing("529 overloaded"))


class Wobbly(TestClock):
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        super().__init__()
        self.set_by = 0.0

    def now(self) -> Any:
        return super().now() + timedelta(seconds=self.set_by)


class Broker:
    """Offers the ledger's broker by another name, so that the story can look into it."""

    def __init__(self) -> None:
        self.broker = LedgerBroker()
        self.broker.name = "watched"

    @hookimpl
    def aegis_brokers(self) -> Any:
        return [self.broker]


class Story:
    """What happens, from one seed."""

    def __init__(self, folder: Path, seed: int, clock: Wobbly) -> None:
        self.random, self.folder, self.clock = random.Random(seed), folder, clock
        self.seen: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.lives, self.disk = 0, folder / "0"
        self.kept: set[str] = set()
        self.wrong: list[str] = []
        self.before: dict[str, tuple[dict[str, int], set[str]]] = {}  # queue → (ready → attempt), running
        self.set_back, self.latest = False, 0.0
        self.disk.mkdir()
        (self.disk / ".aegis.yaml").write_text(CONFIG)

    # -- lives --------------------------------------------------------------------------------------------------

    async def play(self, steps: int) -> None:
        """Do so many steps, in as many lives as it takes, and bring every task to its end."""
        deck = self._deck(steps)
        while deck:
            async with AsyncExitStack() as life:
                await self._begin(life)
                while deck and not self.copy:
                    action = deck.pop()
                    if action == self.restart:
                        self.seen["restart"] += 1
                        break
                    await self._do(action)
            self._die()
        async with AsyncExitStack() as life:
            await self._begin(life)
            await self._finish()
        self._die()

    def _deck(self, steps: int) -> list[Callable[[], Awaitable[Any]]]:
        """Return the steps of this day: by chance, and each kind at least once, or one walk in a hundred lacks one."""
        kinds = list(dict.fromkeys(self.actions))
        deck = kinds + self.random.choices(self.actions, k=steps - len(kinds))
        self.random.shuffle(deck)
        return deck

    async def _begin(self, life: AsyncExitStack) -> None:
        self.players, self.engine = Players(), Broker()
        self.players.kept, self.players.otherwise, self.players.opens = self.kept, self._usual, self._opens
        self.copy: Path | None = None
        self.fuse = -1
        self.books = Books()
        plugins = {"player": self.players, "queue": aegis_queue.plugin, "engine": self.engine}
        opened = open_kernel(self.disk, plugins=plugins, clock=self.clock, environment={})
        self.kernel = await life.enter_async_context(opened)
        self.queues = Queues(self.kernel, self.players)
        self.kernel.ledger.on_commit(self._committed)
        self.before = {}
        await self.queues.settled()
        if not self.kernel.roster.live() & {"lead"}:
            await self.kernel.roster.spawn("player", "lead")
        await self._look()

    def _die(self) -> None:
        """Go on with the disk that the last life left, or with what there was at the moment of the crash."""
        self.disk = self.copy or self.disk
        self.lives += 1

    def _committed(self, records: Any) -> None:
        for queue, cap in CAPS.items():
            if len(self._hired(queue)) > cap:
                self.wrong.append(f"{queue} passed its cap")
        self.fuse -= 1
        if self.fuse == 0 and not self.copy:
            self.copy = killed(self.disk, self.folder / str(self.lives + 1))

    def _opens(self, player: Player) -> None:
        for queue, cap in CAPS.items():
            if len([a for a in self._hired(queue) if a.id in self.players.sessions]) > cap:
                self.wrong.append(f"{queue} has more processes than its cap")

    def _hired(self, queue: str) -> list[Any]:
        return [a for a in self.kernel.roster if a.by == f"queue:{queue}"]

    def _usual(self, player: Player, prompt: str) -> None:
        """Workers take their time; whoever is told of something says that it has heard."""
        agent = self.kernel.roster.get(player.seat.agent_id)
        (begin if agent and agent.by.startswith("queue:") else done)(player, prompt)

    # -- looking ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Hold everything that is said of the queues against the ledger."""
        await self.queues.settled()
        assert not self.wrong, self.wrong
        if self.copy:
            return  # what is seen now is what nobody will remember
        assert not self.kernel.faults, self.kernel.faults
        records = self.kernel.ledger.select("seq > ? order by seq", self.books.seq)
        self.books.read((r.seq, r.book, r.kind, r.key, r.data) for r in records)
        self.books.check()
        lost = self.acknowledged - self.books.fates.keys()
        assert not lost, f"acknowledged and lost: {lost}"
        for row in await self.queues.call("queue list"):
            counts = self.books.counts(row.name)
            said = {s: getattr(row, s) for s in ("pending", "running", "completed", "failed", "cancelled")}
            assert said == {s: counts[s] for s in said}, f"{row.name} says {said}, the book {counts}"
            assert row.running <= row.max_parallel
        await self._look_at_the_order()

    async def _look_at_the_order(self) -> None:
        """Nothing that may begin waits while there is a place; and the first in line was the first to begin."""
        fates, there = self.books.fates, {t.id: t for t in await active(self.engine.broker)}
        assert there.keys() == {x for x, fate in fates.items() if fate.state in ("pending", "running")}
        now = stamp(self.clock.now() - timedelta(seconds=1))  # what became due this very moment may still wait
        for queue, cap in CAPS.items():
            mine = [t for t in there.values() if t.queue == queue]
            due = [t for t in mine if t.state == "pending" and t.not_before <= now]
            ready = {t.id: t.attempt for t in due if all(fates[x].state == "completed" for x in t.after)}
            running = {t.id for t in mine if t.state == "running"}
            were_ready, ran = self.before.get(queue, ({}, running))
            if not self.set_back:
                places = cap - len(self._hired(queue)) if self.books.modes.get(queue) != "paused" else 0
                assert not (places and ready), f"{queue} has {places} places and lets {ready} wait"
                for late in running - ran:
                    waited = [x for x, attempt in were_ready.items() if ready.get(x) == attempt]
                    passed = [x for x in waited if there[x].rank < there[late].rank]
                    assert not passed, f"{late} began before {passed}"
            self.before[queue] = ready, running
        self.set_back = False

    # -- steps --------------------------------------------------------------------------------------------------

    async def _do(self, action: Callable[[], Awaitable[Any]]) -> None:
        self.seen[action.__name__] += 1
        await action()
        await self._look()

    def one(self, things: Any) -> Any:
        """Return one of these, None when there are none."""
        things = sorted(things, key=str)
        return self.random.choice(things) if things else None

    def workers(self) -> list[Any]:
        return sorted(self.queues.workers(), key=lambda a: a.id)

    async def enqueue(self) -> None:
        """Hand over a task, as a person, as an agent, or as a worker that needs help."""
        dice, more = self.random, {}
        caller = self.one(self.kernel.roster) if dice.random() < 0.4 else None
        if dice.random() < 0.2:
            more["delay"] = dice.choice([0.4, 10, 60, 300])
        if dice.random() < 0.15:
            more["key"] = f"key-{dice.randrange(12)}"
        if dice.random() < 0.25 and self.books.fates:
            more["after"] = dice.sample(sorted(self.books.fates), min(len(self.books.fates), dice.choice([1, 1, 2])))
        more |= {"priority": dice.choice([-1, 0, 0, 0, 5]), "callback": dice.random() < 0.85}
        try:
            answer = await self.queues.call(
                "enqueue", caller or ANNA, queue=dice.choice(list(CAPS)), payload="x", **more
            )
        except Refused:
            self.seen["refused"] += 1
            return
        if not self.copy:
            self.acknowledged.add(answer.task_id)

    async def end_a_turn(self) -> None:
        """Let a worker's turn end, one way or another."""
        if player := self.one([p for p in self.players.sessions.values() if self._turn(p)]):
            self.random.choice(ENDINGS)(player, "")

    def _turn(self, player: Player) -> bool:
        agent = self.kernel.roster.get(player.seat.agent_id)
        return bool(agent and agent.turn and agent.turn.sent)

    async def report(self) -> None:
        """Have a worker hand in its result."""
        if worker := self.one(self.workers()):
            try:
                await self.queues.call("report", worker, result={"found": 3})
            except Refused:
                self.seen["refused"] += 1

    async def cancel(self) -> None:
        """Cancel any task."""
        await self._verb("task cancel", lambda: self.one(self.books.fates))

    async def retry(self) -> None:
        """Want a task again."""
        over = [x for x, fate in self.books.fates.items() if fate.state in ("failed", "cancelled")]
        await self._verb("task retry", lambda: self.one(over))

    async def _verb(self, verb: str, chosen: Callable[[], str | None]) -> None:
        if task := chosen():
            try:
                await self.queues.call(verb, task_id=task)
            except Refused:
                self.seen["refused"] += 1

    async def rename(self) -> None:
        """Give a worker, or the lead, another name."""
        if agent := self.one(self.kernel.roster):
            try:
                await self.kernel.roster.rename(agent, f"name-{self.random.randrange(10**6)}")
            except Refused:
                self.seen["refused"] += 1

    async def close(self) -> None:
        """Close a worker, or now and then somebody who waits for a callback."""
        if agent := self.one(self.workers() if self.random.random() < 0.9 else self.kernel.roster):
            await self.kernel.roster.close(agent, "closed by human:anna")

    async def interrupt(self) -> None:
        """Stop a worker's turn."""
        if agent := self.one([a for a in self.workers() if a.turn]):
            await agent.interrupt()

    async def pause(self) -> None:
        """Pause a queue, or open it."""
        queue = self.random.choice(list(CAPS))
        await self.queues.call(self.random.choice(["queue pause", "queue resume", "queue resume"]), queue=queue)

    async def time_goes_on(self) -> None:
        """Let time pass for everything."""
        self.clock.jump(self.random.choice([1, 6, 31, 61, 200]))

    async def the_clock_is_set(self) -> None:
        """Set the wall clock, forward or back; within a minute it is seen."""
        by = self.random.choice([-3600, -120, -30, 30, 120])
        self.clock.set_by += by
        self.latest = max(self.latest, self.clock.set_by)
        self.set_back = True
        await self.queues.settled()
        self.clock.jump(61)

    async def trouble(self) -> None:
        """Let the next CLI not start, or the next worker show nothing."""
        if self.random.random() < 0.5:
            self.players.openings.append(LaunchError("there is no such command"))
        else:
            self.players.playbook.append(hang)

    async def snapshot(self) -> None:
        """Keep the state as a snapshot, as happens by itself after thousands of records."""
        await self.queues.settled()
        self.kernel.ledger.book("queue").snapshot(self.engine.broker._state(), self.books.seq)  # noqa: SLF001

    async def crash(self) -> None:
        """Do several things at once, and die at one of the commits that this takes."""
        self.fuse = self.random.randrange(1, 10)
        usual = [a for a in self.actions if a not in (self.crash, self.restart, self.the_clock_is_set, self.snapshot)]
        async with trio.open_nursery() as nursery:
            for _ in range(self.random.randrange(2, 6)):
                nursery.start_soon(self.random.choice(usual))
        await self.queues.settled()
        if not self.copy:
            self.copy = killed(self.disk, self.folder / str(self.lives + 1))

    async def restart(self) -> None:
        """Stop aegis as one should, and start it again."""

    @property
    def actions(self) -> list[Callable[[], Awaitable[Any]]]:
        """Every step, as often as it is likely."""
        often = [self.enqueue] * 8 + [self.end_a_turn] * 10 + [self.time_goes_on] * 3 + [self.retry, self.report] * 2
        return [
            *often, self.cancel, self.rename, self.close, self.interrupt, self.pause, self.pause, self.the_clock_is_set,
            self.trouble, self.snapshot, self.crash, self.restart,
        ]  # fmt: skip

    async def _finish(self) -> None:
        """Open everything, let everybody work, and see every task end."""
        self.players.otherwise, self.clock.set_by = done, self.latest
        for queue in CAPS:
            await self.queues.call("queue resume", queue=queue)
        for _ in range(200):
            for player in list(self.players.sessions.values()):
                if self._turn(player):
                    done(player, "")
            self.clock.jump(61)
            await self._look()
            if not await active(self.engine.broker):
                break
        left = await active(self.engine.broker)
        assert not left, f"these never end: {left}"
        assert self.queues.workers() == []
        for fate in self.books.fates.values():
            assert fate.state in ("completed", "failed", "cancelled")
        for task in self.acknowledged:
            try:
                await self.queues.status(task)
            except NotFound:
                raise AssertionError(f"{task} was acknowledged and is lost") from None
