"""The contract of clients: in the kernel's process or far from it, they say the same and miss the same, nothing."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
import trio

from aegis import errors
from aegis.app import Kernel
from aegis.bus import Batch
from aegis.callers import Caller
from aegis.errors import AegisError, NotFound, Refused
from aegis.events import Event, Fault, Gap, Notice, Text
from aegis.frontend import Client
from aegis.hookspecs import hookimpl
from aegis.testing.echo import EchoPlugin
from aegis.verb_definition import verb
from aegis.verbs import report

PATIENCE = 20.0
KINDS = {k.__name__: k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, AegisError)}


class Greeting(msgspec.Struct, frozen=True):
    """A value that has a sentence."""

    who: str

    def __str__(self) -> str:
        return f"hello {self.who}"


class Spoken:
    """A plugin with a verb for each thing that crosses to a client."""

    name = "spoken"

    @verb("greet")
    async def greet(self, caller: Caller, who: str) -> Greeting:
        """Greet somebody."""
        report("drawing breath")
        report("speaking")
        return Greeting(who)

    @verb("fail")
    async def fail(self, caller: Caller, how: str) -> str:
        """Fail in some way."""
        raise KINDS[how]("it is so", count=3)

    @hookimpl
    def aegis_primitives(self) -> list[Spoken]:
        """Offer itself."""
        return [self]


async def events(news: AsyncIterator[list[Batch]], count: int) -> list[tuple[int, str, Event]]:
    """Return so many events, each with its number and its agent."""
    found: list[tuple[int, str, Event]] = []
    with trio.fail_after(PATIENCE):
        while len(found) < count:
            for batch in await anext(news):
                found += [(n, batch.agent_id, e) for n, e in enumerate(batch.events, batch.before + 1)]
    return found


class ClientContract:
    """What every client keeps. `connect` enters one of the kernel; `beside` are the plugins that it needs there."""

    @pytest.fixture
    def beside(self) -> Mapping[str, object]:
        """The plugins that serve the client."""
        return {}

    @pytest.fixture
    def plugins(self, beside: Mapping[str, object]) -> dict[str, object]:
        """Those, and what the contract speaks of."""
        return {"spoken": Spoken(), "echo": EchoPlugin(), **beside}

    def connect(self, kernel: Kernel) -> AbstractAsyncContextManager[Client]:
        """Enter a client of this kernel."""
        raise NotImplementedError

    async def test_a_call_gives_value_sentence_and_progress(self, kernel: Kernel) -> None:
        heard: list[str] = []
        async with self.connect(kernel) as client:
            assert await client.call("greet", {"who": "bob"}) == {"who": "bob"}
            assert await client.perform("greet", {"who": "bob"}, heard.append) == ({"who": "bob"}, "hello bob")
        assert heard == ["drawing breath", "speaking"]

    @pytest.mark.parametrize("how", sorted(KINDS))
    async def test_an_error_comes_as_itself(self, how: str, kernel: Kernel) -> None:
        async with self.connect(kernel) as client:
            with pytest.raises(AegisError) as caught:
                await client.call("fail", {"how": how})
        error, kind = caught.value, KINDS[how]
        assert (type(error), str(error), error.data) == (kind, "it is so", {"count": 3})
        assert error.exit_code == kind.exit_code

    async def test_what_is_wrong_is_said(self, kernel: Kernel) -> None:
        async with self.connect(kernel) as client:
            with pytest.raises(NotFound, match="there is no verb 'gret'"):
                await client.call("gret")
            with pytest.raises(Refused, match="who is missing"):
                await client.call("greet")

    async def test_it_knows_verbs_and_the_values_of_their_arguments(self, kernel: Kernel) -> None:
        await kernel.roster.spawn("echo", "calm-codd")
        async with self.connect(kernel) as client:
            assert {"greet", "fail"} <= {v["name"] for v in await client.verbs()}
            assert await client.complete("handle") == ["calm-codd"]
            assert await client.complete("nothing") == []

    async def test_a_snapshot_says_who_asks_and_up_to_which_event(self, kernel: Kernel) -> None:
        await kernel.roster.spawn("echo", "calm-codd")
        async with self.connect(kernel) as client:
            seen = await client.snapshot()
            assert [a["handle"] for a in seen["agents"]] == ["calm-codd"]
            assert seen["number"] == kernel.bus.number
            assert ":" in seen["caller"]

    async def test_each_watch_sees_what_happens_from_its_beginning(self, kernel: Kernel) -> None:
        async with self.connect(kernel) as client:
            kernel.bus.publish("1", Text("before"))
            async with client.watch() as first:
                kernel.bus.publish("1", Text("a"), Notice("b"))
                async with client.watch() as second:
                    kernel.bus.publish("2", Text("c"))
                    last = kernel.bus.number
                    assert await events(second, 1) == [(last, "2", Text("c"))]
                assert await events(first, 3) == [
                    (last - 2, "1", Text("a")), (last - 1, "1", Notice("b")), (last, "2", Text("c")),
                ]  # fmt: skip

    async def test_a_watch_goes_on_after_a_number_also_in_the_middle_of_a_batch(self, kernel: Kernel) -> None:
        begin = kernel.bus.number
        kernel.bus.publish("1", Text("1"), Text("2"), Text("3"))
        kernel.bus.publish("2", Text("4"))
        async with self.connect(kernel) as client:
            for since in range(5):
                async with client.watch(begin + since) as news:
                    kernel.bus.publish("3", Text("live"))
                    live = (kernel.bus.number, "3", Text("live"))
                    seen = await events(news, kernel.bus.number - begin - since)
                    assert [e for _, _, e in seen[: 4 - since]] == [Text(str(n)) for n in range(since + 1, 5)]
                    assert [n for n, _, _ in seen] == list(range(begin + since + 1, kernel.bus.number + 1))
                    assert seen[-1] == live

    async def test_a_number_of_another_kernel_is_a_gap_and_goes_on_live(self, kernel: Kernel) -> None:
        async with self.connect(kernel) as client, client.watch(kernel.bus.number + 1_000_000) as news:
            known = kernel.bus.number
            kernel.bus.publish("1", Text("live"))
            assert await events(news, 2) == [(known, "", Gap(0)), (known + 1, "1", Text("live"))]

    async def test_what_is_not_kept_is_a_gap(self, kernel: Kernel) -> None:
        begin = kernel.bus.number
        kernel.bus.publish("1", *[Text(str(n)) for n in range(30_000)])
        kernel.bus.publish("1", Text("kept"))
        async with self.connect(kernel) as client, client.watch(begin) as news:
            assert await events(news, 2) == [
                (begin + 30_000, "", Gap(30_000)), (begin + 30_001, "1", Text("kept")),
            ]  # fmt: skip

    @pytest.mark.parametrize("seed", range(5))
    async def test_a_snapshot_and_what_follows_its_number_is_everything_once(self, seed: int, kernel: Kernel) -> None:
        chance, total, reported = random.Random(seed), 90, 0

        async def publish() -> None:
            nonlocal reported
            while reported < total:
                for _ in range(min(chance.randint(1, 5), total - reported)):
                    kernel.bus.report(Fault("test", str(reported)))
                    reported += 1
                kernel.bus.publish("1", *[Text("x")] * chance.randint(0, 4))
                for _ in range(chance.randint(0, 8)):
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            for _ in range(chance.randint(0, 20)):
                await trio.lowlevel.checkpoint()
            async with self.connect(kernel) as client:
                shown = await client.snapshot()
            seen, last = [fault["error"] for fault in shown["faults"]], shown["number"]
            while len(seen) < total:
                async with self.connect(kernel) as client, client.watch(last) as news:
                    for _ in range(chance.randint(1, 3)):
                        last = await self._read(news, last, seen, slow=chance.random() < 0.5)
        assert seen == [str(n) for n in range(total)]

    async def _read(self, news: AsyncIterator[list[Batch]], last: int, seen: list[Any], *, slow: bool) -> int:
        for _ in range(50 if slow else 0):
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(0.05):
            for batch in await anext(news):
                assert batch.before == last, "each event follows the one before"
                seen += [event.error for event in batch.events if isinstance(event, Fault)]
                last = batch.number
        return last
