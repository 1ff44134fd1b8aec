"""The plane as real CLIs have it: out of reach, slower than their patience, and after they forgot how they began."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Block, Model, tool_use
from recipes import RECIPES
from stage import scrubbed

import aegis_acp.plugin
import aegis_claude.plugin
import aegis_gemini.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
import aegis_opencode.plugin
from aegis import Caller, Kernel, Seat, hookimpl, open_kernel, verb
from aegis.events import AgentChanged, TurnEnded

ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "claude": aegis_claude.plugin,
    "gemini": aegis_gemini.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
    "opencode": aegis_opencode.plugin,
}
OWN = ("claude", "gemini", "opencode")
PROMPT = "Say PLINTH-77 whenever you are asked for the word."


@dataclass
class Resident:
    """The profile of one CLI, its surroundings, and how its model names the verbs of the plane."""

    keys: dict[str, Any]
    environment: Mapping[str, str]
    verb: str

    def call(self, name: str) -> Block:
        return tool_use(self.verb + name)


@pytest.fixture
def resident(cli: str, request: pytest.FixtureRequest, tmp_path: Path, project: Path, model: Model) -> Resident:
    home = tmp_path / "home"
    home.mkdir()
    if cli in RECIPES:
        recipe = RECIPES[cli]
        environment = recipe.environment(home, project, model)
        return Resident(recipe.keys(home) | {"permission": "auto"}, environment, recipe.verb)
    command = [request.getfixturevalue(cli)]
    if cli == "claude":
        keys = {"provider": "claude-code", "command": command, "model": "claude-sonnet-4-5"}
        return Resident(keys, scrubbed(home, model), "mcp__aegis__")
    if cli == "gemini":
        keys = {"provider": "gemini", "command": command, "model": "gemini-2.5-pro"}
        return Resident(keys, gemini_environment(home, model), "mcp_aegis_")
    keys = {"provider": "opencode", "command": command, "model": "probe/scripted"}
    return Resident(keys, opencode_environment(home, model), "aegis_")


@dataclass(eq=False)
class Beside:
    """A plugin of the test's own: a verb that takes its time, and one that may send agents elsewhere."""

    nap: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    elsewhere: str = ""
    name: str = "beside"
    order: int = 1_000  # after the plane has furnished the seat
    called: trio.Event = field(default_factory=trio.Event)

    @verb("nap")
    async def take_a_nap(self, caller: Caller) -> str:
        """Sleep for a while."""
        self.called.set()
        await self.nap()
        return "well rested"

    async def before_open(self, seat: Seat) -> None:
        if self.elsewhere:
            seat.servers = [replace(server, url=self.elsewhere) for server in seat.servers]

    @hookimpl
    def aegis_interceptors(self) -> list[Any]:
        return [self]


@asynccontextmanager
async def opened(
    project: Path, resident: Resident, beside: Beside | None = None, *, prompt: str = "", **plane: float
) -> AsyncIterator[Kernel]:
    """Open a kernel in which `lucid-knuth` lives."""
    keys = resident.keys | ({"prompt": prompt} if prompt else {})
    (project / ".aegis.yaml").write_text(json.dumps({"agents": {"staged": keys}, "plugins": {"mcp": plane}}))
    plugins = PLUGINS | ({"beside": beside} if beside else {})
    async with open_kernel(project, plugins=plugins, environment=resident.environment) as kernel:
        with trio.fail_after(60):
            await kernel.verbs.call(ANNA, "spawn", {"agent": "staged", "handle": "lucid-knuth"})
            yield kernel


async def said(kernel: Kernel, words: str) -> str:
    reply: str = await kernel.verbs.call(ANNA, "send", {"handle": "lucid-knuth", "text": words, "wait": True})
    return reply


pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the plane's libraries
]


@pytest.mark.ability("lost plane")
@pytest.mark.parametrize("cli", [*OWN, *sorted(RECIPES)])
async def test_an_agent_that_does_not_find_the_plane_is_marked_in_seconds(
    resident: Resident, project: Path, model: Model
) -> None:
    """None of these CLIs fails, and some say nothing: it is noticed where nobody came."""
    nowhere = Beside(elsewhere="http://127.0.0.1:9/mcp")
    async with opened(project, resident, nowhere, notice_after=1) as kernel:
        with kernel.bus.subscribe() as news:
            agent = kernel.roster.find("lucid-knuth")
            seen = [agent.snapshot()["notes"]]
            while not seen[-1].get("mcp"):
                events = [event for batch in await anext(news) for event in batch.events]
                seen += [event.agent["notes"] for event in events if isinstance(event, AgentChanged)]
        assert seen[-1]["mcp"] == "has not connected to the plane within 1 s: it has no aegis tools"
        [row] = await kernel.verbs.call(ANNA, "sessions", {})
        assert row.notes == agent.notes
        assert (await kernel.verbs.call(ANNA, "plane status", {})).missing == ["lucid-knuth"]
        assert await said(kernel, "hello") == "ok", "it can do its work all the same"


@pytest.mark.ability("long plane call")
@pytest.mark.parametrize("cli", ["opencode"])
async def test_a_call_that_reports_progress_outlasts_the_clis_patience(
    resident: Resident, project: Path, model: Model
) -> None:
    """It can be told to be impatient: 2 s without a sign of life, and the call fails. All others wait 100 s or more."""
    resident.keys["config"] = {"experimental": {"mcp_timeout": 2000}}
    model.follow({"when": "rest now", "say": [resident.call("aegis_nap")]}, {"on": "tool_result", "say": "{reply}"})

    async def nap() -> None:
        await trio.sleep(5)  # the CLI has no clock but the real one

    async with opened(project, resident, Beside(nap), progress_every=0.5) as kernel:
        assert "well rested" in await said(kernel, "rest now")


@pytest.mark.ability("long plane call")
@pytest.mark.parametrize("cli", [*OWN, *sorted(RECIPES)])
async def test_a_call_that_takes_longer_ends_the_turn_and_its_result_comes_as_a_message(
    resident: Resident, project: Path, model: Model
) -> None:
    model.follow(
        {"when": "rest now", "say": [resident.call("aegis_nap")]},
        {"when": "well rested", "say": "good morning"},
        {"on": "tool_result", "say": "{reply}"},
    )
    woken = trio.Event()
    async with opened(project, resident, Beside(woken.wait), ticket_after=1) as kernel:
        with kernel.bus.subscribe() as news:
            reply = await said(kernel, "rest now")
            assert "ticket" in reply and "well rested" not in reply
            woken.set()
            ends: list[str] = []
            while len(ends) < 2:
                events = [event for batch in await anext(news) for event in batch.events]
                ends += [event.reply for event in events if isinstance(event, TurnEnded)]
        assert ends[1] == "good morning"


@pytest.mark.ability("compaction primer")
@pytest.mark.parametrize("cli", OWN)
async def test_after_a_compaction_it_is_told_again_who_it_is(
    cli: str, resident: Resident, project: Path, model: Model
) -> None:
    full = {"input_tokens": 990_000 if cli == "gemini" else 150_000, "output_tokens": 5}
    model.follow({"when": "fill up", "say": "full", "usage": full}, {"when": "and now", "say": "third"})
    async with opened(project, resident, prompt=PROMPT) as kernel:
        await said(kernel, "where do I begin")
        await said(kernel, "fill up")
        if cli != "gemini":  # it does so by itself, when half of its context is used
            await said(kernel, "/compact")
        await said(kernel, "and now")
    now = json.dumps(model.requests()[-1])
    assert "where do I begin" not in now, "it has forgotten"
    assert "PLINTH-77" in now and "You are the agent `lucid-knuth`" in now
