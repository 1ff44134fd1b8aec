"""What every driver keeps towards the live: an agent whose CLI misbehaves is in an honest state, and mail finds it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from aegis.agent import Agent
from aegis.app import Kernel
from aegis.events import AgentChanged, Event, Text, TurnEnded
from aegis.project import FILE
from aegis.testing.clock import TestClock
from aegis.testing.contract_base import StagedDriver
from aegis.testing.plugin import Opened
from aegis.testing.seats import PATIENCE, marked

QUIT = 2.0  # seconds that leaving a kernel may take, in every state


class LiveAgent:
    """A running kernel with one agent of the driver under test."""

    def __init__(self, kernel: Kernel, agent: Agent) -> None:
        self.kernel, self.agent = kernel, agent

    async def tell(self, words: str) -> str:
        """Send the agent a message and return its id."""
        post = self.kernel.post
        receipt = await post.deliver(post.envelope("human:anna", self.agent.id, words, sender_id="human:anna"))
        return receipt.id

    async def turn(self, words: str, patience: float = PATIENCE) -> TurnEnded:
        """Have a turn and return how it ended; it may take so many seconds."""
        with trio.fail_after(patience):
            return await self.kernel.post.wait_turn(await self.tell(words))

    async def until(self, state: str) -> None:
        """Wait until the agent is in this state."""
        with self.kernel.bus.subscribe() as news, trio.fail_after(PATIENCE):
            if self.agent.state == state:
                return
            async for batches in news:
                events = [e for b in batches if b.agent_id == self.agent.id for e in b.events]
                if any(isinstance(e, AgentChanged) and e.agent["state"] == state for e in events):
                    return

    @asynccontextmanager
    async def hearing(self, kind: type[Event]) -> AsyncIterator[None]:
        """Do something, then wait until the agent has said an event of this kind."""
        with self.kernel.bus.subscribe() as news, trio.fail_after(PATIENCE):
            yield
            async for batches in news:
                if any(isinstance(e, kind) for b in batches if b.agent_id == self.agent.id for e in b.events):
                    return


class AgentContract(StagedDriver):
    """Honest states, clear errors, and the next message."""

    @pytest.fixture
    def open_agent(self, kernel_with: Opened, plugin: object, stage: Mapping[str, Any], project: Any) -> Any:
        """Open the project with one agent of the profile under test, or with the agent of the last time."""
        body = {key: str(value) if hasattr(value, "__fspath__") else value for key, value in stage.items()}

        @asynccontextmanager
        async def opened() -> AsyncIterator[LiveAgent]:
            driver = next(iter(plugin.aegis_drivers()))  # type: ignore[attr-defined]
            profile = {"provider": driver.name} | body
            (project / FILE).write_text(json.dumps({"agents": {"staged": profile}}), encoding="utf-8")
            async with kernel_with(driver=plugin) as kernel:
                agents = list(kernel.roster)
                yield LiveAgent(kernel, agents[0] if agents else await kernel.roster.spawn("staged", "lucid-knuth"))
                assert [fault for fault in kernel.faults if fault.final] == []

        return opened

    @pytest.mark.ability("answers")
    @pytest.mark.scene("one")
    async def test_a_turn_through_the_kernel(self, open_agent: Any) -> None:
        async with open_agent() as live:
            ended = await live.turn("one")
            assert (ended.outcome, ended.reply) == ("completed", "the first answer")
            assert live.agent.state == "idle" and live.agent.session_id

    @pytest.mark.ability("crash")
    @pytest.mark.scene("die", "kill", "two")
    @pytest.mark.parametrize(("word", "how"), [("die", "exited with code 3"), ("kill", "was ended by SIGKILL")])
    async def test_a_cli_that_dies_mid_turn(self, open_agent: Any, word: str, how: str) -> None:
        async with open_agent() as live:
            ended = await live.turn(word)
            assert ended.outcome == "failed" and how in ended.reason
            assert "pid" in ended.reason, "the command is named"
            assert word != "die" or "complaint" in ended.reason, "its last words are quoted"
            await live.until("stopped")
            assert (await live.turn("two")).outcome == "completed", "the next message starts it again"

    @pytest.mark.ability("crash")
    @pytest.mark.scene("exit", "two")
    async def test_a_cli_that_dies_between_turns(self, open_agent: Any) -> None:
        async with open_agent() as live:
            assert (await live.turn("exit")).outcome == "completed"
            await live.until("stopped")
            assert "exited with code 4" in live.agent.reason
            assert (await live.turn("two")).outcome == "completed"

    @pytest.mark.ability("crash")
    @pytest.mark.scene("mute", "two")
    async def test_a_cli_that_closes_its_output(self, open_agent: Any) -> None:
        async with open_agent() as live:
            ended = await live.turn("mute")
            assert ended.outcome == "failed" and "closed its output" in ended.reason
            assert (await live.turn("two")).outcome == "completed"

    @pytest.mark.ability("turn limit")
    @pytest.mark.scene("hang", "two")
    async def test_a_turn_that_never_ends_is_ended(self, open_agent: Any, clock: TestClock) -> None:
        async with open_agent() as live:
            async with live.hearing(Text):
                letter = await live.tell("hang")
            clock.jump(live.agent.profile.turn_limit)
            with trio.fail_after(PATIENCE):
                ended = await live.kernel.post.wait_turn(letter)
            assert ended.outcome == "failed" and "limit of 3600 s" in ended.reason
            assert (await live.turn("two")).outcome == "completed"

    @pytest.mark.ability("deaf CLI")
    @pytest.mark.scene("deaf", "two")
    async def test_a_cli_that_obeys_nothing_is_killed(self, open_agent: Any, clock: TestClock) -> None:
        async with open_agent() as live:
            async with live.hearing(Text):
                letter = await live.tell("deaf")
            assert await live.agent.interrupt()
            clock.jump(60)
            with trio.fail_after(PATIENCE):
                ended = await live.kernel.post.wait_turn(letter)
            assert ended.outcome == "failed" and "interrupted, and the CLI did not obey" in ended.reason
            assert (await live.turn("two")).outcome == "completed"

    @pytest.mark.ability("quit")
    @pytest.mark.scene("two")
    @pytest.mark.parametrize("word", [pytest.param(word, marks=pytest.mark.scene(word)) for word in ("hang", "deaf")])
    async def test_quitting_mid_turn_is_quick_and_said(self, open_agent: Any, word: str) -> None:
        async with open_agent() as live:
            async with live.hearing(Text):
                letter = await live.tell(word)
            mark, left = live.agent.id, trio.current_time()
        assert trio.current_time() - left < QUIT
        assert marked({mark}) == []
        async with open_agent() as live:
            assert live.agent.id == mark
            assert (await live.kernel.post.wait_turn(letter)).outcome in self.cut_off.get(word, ("interrupted",))
            again = await live.turn("two", 90)  # some may not be resumed in the minute in which they began
            assert again.outcome == "completed", "and it goes on where it was"

    @pytest.mark.ability("clean exit")
    @pytest.mark.scene("hang")
    async def test_closing_an_agent_leaves_nothing(self, open_agent: Any) -> None:
        async with open_agent() as live:
            async with live.hearing(Text):
                await live.tell("hang")
            await live.kernel.roster.close(live.agent)
            assert marked({live.agent.id}) == []
            assert live.agent.state == "closed"
