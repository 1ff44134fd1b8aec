"""Mail against a model: whatever is delivered, taken, ended, closed and crashed in whatever order, nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.bus import Bus
from aegis.clock import Clock
from aegis.envelope import Envelope
from aegis.errors import Refused
from aegis.events import TurnEnded
from aegis.ledger import Ledger
from aegis.mail import Post
from aegis.mailbox import Letter

BOXES = ("ann", "bob", "human:sam")
box = st.sampled_from(BOXES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), box, box),
        st.tuples(st.just("deliver_many"), box, st.integers(2, 5)),
        st.tuples(st.just("deliver_again"), st.integers(0, 50)),
        st.tuples(st.just("deliver_and_close"), box, box),
        st.tuples(st.just("work"), box, box),
        st.tuples(st.just("work"), box, box),
        st.tuples(st.just("take"), box),
        st.tuples(st.just("give_back"), box),
        st.tuples(st.just("inject"), box),
        st.tuples(st.just("end"), box, st.sampled_from(["completed", "failed", "interrupted"])),
        st.tuples(st.just("dead_letter"), box),
        st.tuples(st.just("close"), box),
        st.tuples(st.just("rename"), box),
        st.tuples(st.just("snapshot")),
        st.tuples(st.just("crash")),
    ),
    max_size=40,
)


@dataclass
class Model:
    """What must be true: per recipient what waits, in order, and what its CLI holds; how each letter ended."""

    waiting: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in BOXES})
    taken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in BOXES})
    injected: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)


class Play:
    """The post under test, on a disk that survives its crashes, next to the model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model, self.lives = folder, Model(), 0
        self.letters: dict[str, list[Letter]] = {name: [] for name in BOXES}
        self.sent: dict[str, Envelope] = {}
        self.turn = ""

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """One life of the kernel; it begins with what the last one left, as kill -9 leaves it."""
        self.lives += 1
        path = self.folder / str(self.lives) / "ledger.db"
        path.parent.mkdir()
        for name in ("ledger.db", "ledger.db-wal"):
            old = self.folder / str(self.lives - 1) / name
            if old.exists():
                shutil.copy(old, path.parent / name)
        self.ledger = ledger = Ledger(path, lambda: "2026-01-05T10:00:00Z")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            self.post, self.book = Post(ledger, Bus(), Clock()), ledger.book("mail")
            for name in BOXES:
                self.post.mailbox(name).closed = "it was closed" if name in self.model.closed else ""
            await self._interrupted(self.post.restore())
            yield
            nursery.cancel_scope.cancel()

    async def _interrupted(self, flying: list[Letter]) -> None:
        assert {x.envelope.id for x in flying} == set(self.model.injected), "turns in flight are known after a crash"
        for name in BOXES:
            back = [i for i in self.model.taken[name] if i not in self.model.injected]
            self.model.waiting[name] = back + self.model.waiting[name]
            self.model.taken[name], self.letters[name] = [], []
            now = [x.envelope.id for x in self.post.mailbox(name).waiting]
            assert now == self.model.waiting[name], "what was in flight must not be taken again"
        for letter in flying:
            ended = TurnEnded("interrupted", letter.turn, reason="aegis stopped")
            await self.post.ended([letter], ended, tell=True)
            del self.model.injected[letter.envelope.id]
            self._over([letter.envelope.id], "interrupted", tell=True)

    def _over(self, ids: list[str], how: str, *, tell: bool) -> None:
        for i in ids:
            assert i not in self.model.ended
            self.model.ended[i] = how
            sender = self.sent[i].sender_id
            if tell and self.sent[i].sender != "system" and sender not in self.model.closed:
                self.model.told[i] = 1
                (news,) = [x.envelope for x in self.post.letters(sender) if x.envelope.in_reply_to == i]
                self.sent[news.id] = news
                self.model.waiting[sender].append(news.id)

    def _fresh(self, recipient: str, sender: str) -> Envelope:
        made = self.post.envelope(sender, recipient, f"body {len(self.sent)}", sender_id=sender)
        self.sent[made.id] = made
        return made

    async def deliver(self, recipient: str, sender: str) -> None:
        made = self._fresh(recipient, sender)
        if recipient in self.model.closed:
            try:
                await self.post.deliver(made)
            except Refused:
                del self.sent[made.id]
                return
            raise AssertionError("a closed mailbox took mail")
        receipt = await self.post.deliver(made)
        self.model.waiting[recipient].append(made.id)
        assert (receipt.state, receipt.position) == ("accepted", len(self.model.waiting[recipient]))

    async def deliver_many(self, recipient: str, count: int) -> None:
        if recipient in self.model.closed:
            return
        made = [self._fresh(recipient, "human:sam") for _ in range(count)]
        positions = {}

        async def one(envelope: Envelope) -> None:
            positions[envelope.id] = (await self.post.deliver(envelope)).position

        async with trio.open_nursery() as nursery:
            for envelope in made:
                nursery.start_soon(one, envelope)
        before = len(self.model.waiting[recipient])
        self.model.waiting[recipient] += sorted(positions, key=lambda i: positions[i])
        assert sorted(positions.values()) == list(range(before + 1, before + 1 + count))

    async def deliver_again(self, number: int) -> None:
        if self.sent:
            envelope = list(self.sent.values())[number % len(self.sent)]
            if envelope.recipient not in self.model.closed:
                await self.post.deliver(envelope)

    async def deliver_and_close(self, recipient: str, sender: str) -> None:
        if recipient in self.model.closed or recipient == sender or recipient.startswith("human:"):
            return
        made = self._fresh(recipient, sender)
        states: list[str] = []

        async def one() -> None:
            try:
                states.append((await self.post.deliver(made)).state)
            except Refused:
                states.append("refused")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.lowlevel.checkpoint()
            self.post.mailbox(recipient).closed = "it was closed"
        self.model.closed.add(recipient)
        if states == ["refused"]:
            del self.sent[made.id]
        else:
            assert states == ["dead"], states
            self._over([made.id], "dead", tell=True)
        await self._dead_letter_all(recipient)

    async def take(self, name: str) -> None:
        if not self.letters[name]:
            self.letters[name] = self.post.mailbox(name).take()
            self.model.taken[name], self.model.waiting[name] = self.model.waiting[name], []
            assert [x.envelope.id for x in self.letters[name]] == self.model.taken[name]

    async def work(self, recipient: str, sender: str) -> None:
        """Deliver something and let the CLI take all that waits."""
        await self.deliver(recipient, sender)
        await self.take(recipient)
        await self.inject(recipient)

    async def give_back(self, name: str) -> None:
        if not set(self.model.taken[name]) & set(self.model.injected):
            self.post.mailbox(name).put_back(self.letters[name])
            self.model.waiting[name] = self.model.taken[name] + self.model.waiting[name]
            self.model.taken[name], self.letters[name] = [], []

    async def inject(self, name: str) -> None:
        self.turn = f"turn-{len(self.model.ended)}-{name}"
        if self.letters[name] and not set(self.model.taken[name]) & set(self.model.injected):
            self.post.taken(self.letters[name], self.turn)
            await self.ledger.append()  # what is recorded without waiting is there before this is answered
            self.model.injected |= dict.fromkeys(self.model.taken[name], self.turn)

    async def end(self, name: str, outcome: Any) -> None:
        ids = self.model.taken[name]
        if ids and all(i in self.model.injected for i in ids):
            turn, tell = self.model.injected[ids[0]], outcome != "completed"
            answers: list[TurnEnded] = []

            async def wait() -> None:
                answers.append(await self.post.wait_turn(ids[0]))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                assert not answers, "a turn that goes on was said to be over"
                await self.post.ended(self.letters[name], TurnEnded(outcome, turn), tell=tell)
            assert (answers[0].outcome, answers[0].turn) == (outcome, turn)
            self.letters[name], self.model.taken[name] = [], []
            for i in ids:
                del self.model.injected[i]
            self._over(ids, outcome, tell=tell)

    async def _dead_letter_all(self, name: str) -> None:
        ids = [x.envelope.id for x in self.post.letters(name)]
        await self.post.dead_letter(self.post.letters(name), "it was closed")
        self.model.waiting[name], self.model.taken[name], self.letters[name] = [], [], []
        for i in ids:
            self.model.injected.pop(i, None)
        self._over(ids, "dead", tell=True)

    async def dead_letter(self, name: str) -> None:
        if not self.model.taken[name]:
            await self._dead_letter_all(name)

    async def close(self, name: str) -> None:
        if not name.startswith("human:") and name not in self.model.closed:
            self.post.mailbox(name).closed = "it was closed"
            self.model.closed.add(name)
            await self._dead_letter_all(name)

    async def rename(self, name: str) -> None:
        self.post.mailbox(name).label += "-renamed"

    async def snapshot(self) -> None:
        self.post._snapshot_at = 0  # noqa: SLF001 - the next end of a turn makes one, not the one after 5,000 records

    def check(self) -> None:
        """Hold the post to the model."""
        for name in BOXES:
            now = [x.envelope.id for x in self.post.mailbox(name).waiting]
            assert now == self.model.waiting[name], f"{name}: {now} waits, it should be {self.model.waiting[name]}"
        alive = {i for ids in (*self.model.waiting.values(), *self.model.taken.values()) for i in ids}
        assert {x.envelope.id for x in self.post.letters()} == alive
        assert alive | set(self.model.ended) == set(self.sent), "an accepted letter is neither alive nor over"
        for i in self.sent:
            kinds = [r.kind for r in self.book.find(i)]
            assert kinds.count("accepted") == 1
            assert sum(k in ("ended", "dead") for k in kinds) == (i in self.model.ended), f"{i} ended as {kinds}"
            receipt = self.post.receipt(i)
            state = "dead" if self.model.ended.get(i) == "dead" else "ended" if i in self.model.ended else None
            assert receipt.state == (state or ("injected" if i in self.model.injected else "accepted"))
            if state == "ended":
                assert receipt.outcome == self.model.ended[i]
        replies = [e.in_reply_to for e in self.sent.values() if e.sender == "system"]
        assert sorted(replies) == sorted(self.model.told)


async def _play(script: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play = Play(Path(folder))
        async with AsyncExitStack() as life:
            await life.enter_async_context(play.alive())
            for name, *arguments in script:
                if name == "crash":
                    await life.aclose()
                    await life.enter_async_context(play.alive())
                else:
                    await getattr(play, name)(*arguments)
                play.check()


@given(steps)
@settings(max_examples=250, deadline=None)
def test_mail_is_never_lost_and_ends_exactly_once(script: list[tuple[Any, ...]]) -> None:
    trio.run(_play, script)
