"""What a driver may say of its provider is optional: one that says nothing is as good as any."""

from contextlib import asynccontextmanager

import trio

from aegis import DriverInfo, Probe, Profile, hookimpl
from aegis.driver import Checks, by_every_name, info_of
from aegis.events import SessionStarted, Text, TurnEnded


class BareSession:
    """Nothing but what a session must have."""

    def __init__(self):
        self._said = trio.Event()

    async def send(self, prompt):
        await trio.lowlevel.checkpoint()
        self._said.set()

    async def receive(self):
        await self._said.wait()
        self._said = trio.Event()
        return [SessionStarted("of-its-own"), Text("hello"), TurnEnded("completed")]

    async def interrupt(self):
        await trio.lowlevel.checkpoint()


class Bare:
    """Nothing but what a driver must have."""

    name, settings, resumes = "bare", Profile, False

    @asynccontextmanager
    async def open(self, seat):
        yield BareSession()

    def probe(self):
        return Probe(True)


class Talkative(Bare):
    """It says everything."""

    name = "talkative"
    info = DriverInfo(aliases=("chatty",), fallback=True, costs=True, meters=True)

    def check(self, profile):
        """All profiles are good."""


class Offer:
    @hookimpl
    def aegis_drivers(self):
        return [Talkative(), Bare()]


async def test_a_driver_that_says_nothing_of_itself_has_turns(kernel_with):
    async with kernel_with(offer=Offer()) as kernel:
        agent = await kernel.roster.spawn("bare", "ann")
        receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, "hi"))
        assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
        assert agent.session_id == "of-its-own"


async def test_an_alias_is_the_driver(kernel_with):
    async with kernel_with(offer=Offer()) as kernel:
        assert kernel.config.profile("chatty")[1].name == "talkative"


def test_what_is_not_said_has_defaults():
    assert info_of(Bare()) == DriverInfo() and not isinstance(Bare(), Checks)
    assert info_of(Talkative()).costs and isinstance(Talkative(), Checks)
    assert sorted(by_every_name({"bare": Bare(), "talkative": Talkative()})) == ["bare", "chatty", "talkative"]
