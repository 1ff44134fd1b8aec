"""A driver whose turns a test plays, one reading after the other, and what a test asks of a kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from textwrap import indent

import trio
import trio.testing

from aegis import Caller, DriverInfo, Hold, Kernel, Probe, Profile, Seat, Work, hookimpl
from aegis.events import Event, SessionStarted, Text, TurnEnded, Usage
from aegis.testing import clock
from aegis.testing.clock import TestClock

ANNA = Caller("human", "anna")
STEP = 10_000  # tokens, and ten cents, of the largest request

# A million tokens of output cost ten dollars and input is free, so that 1,000 tokens are a cent.
PRICES = f"till: {{penny: {{input: 0, output: 10, context: 1, max_output: {STEP}}}}}"


def config(budgets: str, *, model: str = "penny", prices: str = PRICES, more: str = "") -> str:
    """Return an `.aegis.yaml` with these budgets; without a model nobody knows a price."""
    profile = f"{{provider: till{f', model: {model}' if model else ''}}}"
    agents = f"agents:\n  rich: {profile}\n  poor: {profile}\n"
    return f"{agents}budgets:\n  prices: {{{prices}}}\n{indent(budgets, '  ')}\n{more}"


class TillSession:
    """A session that says what it is told to say; an interrupt ends its turn with what it used by then."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.heard: list[str] = []
        self.tokens = 0
        self.last = 0  # tokens of the last turn that ended
        self.begun = trio.Event()
        self.interrupts = 0
        self.parting = 0  # tokens of a request that had begun when the interrupt came
        self.quiet = False  # says nothing of a turn before its end
        self.hurries = False  # ends each turn at once
        self._say, self._said = trio.open_memory_channel[Sequence[Event]](100)

    async def send(self, prompt: str) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append(prompt)
        self.tokens = 0
        self.begun.set()
        if not self.quiet:
            self.say(Text("…"))
        if self.hurries:
            self.end(last=100)

    async def receive(self) -> Sequence[Event]:
        return await self._said.receive()

    async def interrupt(self) -> None:
        await trio.lowlevel.checkpoint()
        self.interrupts += 1
        self.end("cancelled", last=self.parting)

    def say(self, *events: Event) -> None:
        self._say.send_nowait(events)

    def use(self, tokens: int) -> None:
        """Say that one more request wrote so many tokens."""
        self.tokens += tokens
        self.say(Usage(output=self.tokens))

    def end(
        self, outcome: str = "completed", *, last: int = 0, cost: float | None = None, silent: bool = False
    ) -> None:
        """End the turn, with so many tokens more than were said."""
        self.begun = trio.Event()
        self.tokens += last
        self.last = self.tokens
        self.say(TurnEnded(outcome, usage=None if silent else Usage(output=self.tokens), cost_usd=cost))


class Till:
    """The provider `till`: it says after each request what the turn has used, and never what that cost."""

    name, settings, resumes = "till", Profile, True

    def __init__(self, *, meters: bool = True, hurries: bool = False) -> None:
        self.info, self.hurries = DriverInfo(meters=meters), hurries
        self.sessions: dict[str, TillSession] = {}
        self.seats: dict[str, Seat] = {}

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[TillSession]:
        session = self.sessions[seat.agent_id] = TillSession(seat.resume or f"session-{len(self.sessions)}")
        self.seats[seat.agent_id], session.hurries = seat, self.hurries
        session.say(SessionStarted(session.session_id))
        yield session
        self.sessions.pop(seat.agent_id, None)

    def probe(self) -> Probe:
        return Probe(found=True)

    @hookimpl
    def aegis_drivers(self) -> list[Till]:
        return [self]


async def settled(kernel: Kernel) -> None:
    """Return once everybody waits and the disk has what was given to it, however slow it is."""
    last = -1
    while last != (last := await _stored(kernel)):  # somebody goes on from what was stored, and has more
        pass


async def _stored(kernel: Kernel) -> int:
    """Return the number of the last record, once everybody waits, and threads and disk are done."""
    await clock.settled()
    if isinstance(kernel.clock, TestClock):
        kernel.clock.jump(0.05)  # the end of a turn is not heard at once
    await kernel.ledger.flush()
    await clock.settled()
    return int(next(kernel.ledger.rows("select coalesce(max(seq), 0), 'null' from records"))[0])


async def until(condition) -> None:
    """Return once it holds."""
    with trio.fail_after(20):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.002)


async def tell(kernel: Kernel, handle: str, body: str = "go", **more: object) -> str:
    """Send a message and return its id."""
    envelope = kernel.post.envelope("human:anna", kernel.roster.find(handle).id, body, sender_id="human:anna", **more)
    await kernel.post.deliver(envelope)
    return envelope.id


async def turn(kernel: Kernel, till: Till, handle: str, tokens: int = 0, **how: object) -> TurnEnded:
    """Have the agent take one turn that uses so many tokens, and return how it ended."""
    message = await tell(kernel, handle)
    session = till.sessions[kernel.roster.find(handle).id]
    await until(lambda: session.begun.is_set() or kernel.post.receipt(message).outcome)
    if session.begun.is_set():
        session.end(last=tokens, **how)
    return await over(kernel, message)


async def over(kernel: Kernel, message: str) -> TurnEnded:
    """Return how the turn of a message ended, once the books have it."""
    with trio.fail_after(20):
        ended = await kernel.post.wait_turn(message)
    if any(verb.plugin == "budget" for verb in kernel.verbs):
        book = kernel.ledger.book("budget")

        def written() -> bool:
            kinds = {record.kind for record in book.find(ended.turn)}
            return bool(kinds & {"spent", "released"}) or (ended.outcome == "refused" and not kinds)

        await until(written)
    await settled(kernel)
    return ended


async def call(kernel: Kernel, verb: str, *, by: Caller = ANNA, **args: object):
    """Return what a caller is told."""
    return await kernel.verbs.call(by, f"budget {verb}", args)


CAPS = [{"usd": "0.30", "window": "1h"}]


def work(task: str, budgets=None, *, profile: str = "poor", queue: str = "nightly", only_ask: bool = False) -> Work:
    """Return a task of a queue, as the queue asks for it."""
    terms = {"budgets": budgets} if budgets else {}
    return Work(
        kind="task", id=task, place=queue, profile=profile, caller=ANNA.through("queue", queue), terms=terms,
        only_ask=only_ask,
    )  # fmt: skip


async def admit(kernel: Kernel, task: str, budgets=CAPS, **more) -> Hold | None:
    """Ask as a queue does before it begins a task."""
    return await kernel.interceptors.admit(work(task, budgets, **more))


async def release(kernel: Kernel, task: str) -> None:
    """Give the task up, as a queue does."""
    await kernel.interceptors.tell("release", work(task))


async def reserved(kernel: Kernel, scope: str = "queue:nightly") -> str:
    """Return what is reserved in a scope."""
    return (await call(kernel, "show", scope=scope)).budgets[0].reserved


async def spent(kernel: Kernel, scope: str = "project") -> Decimal:
    """Return what the first budget of a scope says is spent."""
    return Decimal((await call(kernel, "show", scope=scope)).budgets[0].spent)
