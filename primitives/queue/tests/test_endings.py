"""However a task ends, whoever handed it over is told once: the outcome, why, and the worker's last words."""

from __future__ import annotations

import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from player_driver import Part, Player, Players, crash, mute
from queue_stage import Queues

import aegis_queue.plugin
from aegis import LaunchError
from aegis.events import Text, TurnEnded


@pytest.fixture
def echo() -> Players:
    return Players()


@pytest.fixture
def plugins(echo, project):
    (project / ".aegis.yaml").write_text("queues:\n  one: {agent: player, timeout: 60}\n  two: {agent: player}\n")
    return {"player": echo, "queue": aegis_queue.plugin}


def ending(outcome: str, reason: str = "") -> Part:
    """Say something in two messages, and end the turn so."""

    def part(player: Player, prompt: str) -> None:
        words = Text("first I looked", message_id="a"), Text("it is ", message_id="b"), Text("red", message_id="b")
        player.say(*words, Text("a sub-agent's chatter", message_id="c", parent="tool"))
        player.say(TurnEnded(outcome, reason=reason))

    return part


def speaking(player: Player, prompt: str) -> None:
    """Say something, and go on for ever."""
    player.say(Text("half of"), Text(" it"))


async def nothing(queues: Queues, task: str) -> None:
    """Let it end by itself."""


async def cancelled(queues: Queues, task: str) -> None:
    await queues.call("task cancel", task_id=task)


async def interrupted(queues: Queues, task: str) -> None:
    await queues.workers()[0].interrupt()


async def closed(queues: Queues, task: str) -> None:
    await queues.kernel.roster.close(queues.workers()[0], "closed by human:anna")


@dataclass
class Way:
    """How a worker plays, what is done to it, and what the callback says of it."""

    part: Part | BaseException
    outcome: str
    status: str
    body: str
    act: Callable[[Queues, str], Awaitable[None]] = nothing


WORDS, SILENCE, HALF = "Its last words:\nit is red", "It said nothing.", "Its last words:\nhalf of it"
WAYS = {
    "completed": Way(ending("completed"), "ok", "ok", "it is red"),
    "silent": Way(mute, "silent", "ok", "The worker ended its turn without a word."),
    "truncated": Way(
        ending("truncated"), "truncated", "ok", "it is red\n\nThe answer was cut off: the model reached its limit."
    ),
    "the model failed": Way(ending("failed", "no more"), "error", "error", f"error: no more\n\n{WORDS}"),
    "it failed in silence": Way(
        lambda player, prompt: player.say(TurnEnded("failed", reason="no")), "error", "error", f"error: no\n\n{SILENCE}"
    ),
    "refused": Way(ending("refused", "not allowed"), "refused", "error", f"refused: not allowed\n\n{WORDS}"),
    "the worker crashed": Way(
        crash, "error", "error", "error: the CLI died: signal 9\n\nIts last words:\nI was about to"
    ),
    "it did not start": Way(
        LaunchError("no such command"),
        "error",
        "error",
        f"error: no 'player' agent was started: no such command\n\n{SILENCE}",
    ),
    "timed out": Way(speaking, "timed_out", "error", f"timed_out: it took longer than 60 s\n\n{HALF}"),
    "cancelled": Way(speaking, "cancelled", "error", f"cancelled: cancelled by human:anna\n\n{HALF}", cancelled),
    "interrupted by somebody": Way(
        speaking, "cancelled", "error", f"cancelled: its worker was interrupted\n\n{HALF}", interrupted
    ),
    "closed": Way(speaking, "cancelled", "error", f"cancelled: closed by human:anna\n\n{HALF}", closed),
}


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_handed_it_over_is_told_how_it_ended(queues: Queues, echo: Players, autojump, way):
    how = WAYS[way]
    if isinstance(how.part, BaseException):
        echo.openings = [how.part] * 3
    else:
        echo.otherwise = how.part
    task = await queues.put("work")
    if how.act is not nothing:
        await queues.settled()
        await how.act(queues, task)
    status = await queues.end(task)
    await queues.settled()
    assert status.outcome == how.outcome
    [letter] = queues.mail()
    header, _, body = letter.split("\n", 2)
    assert header.startswith(f"> from queue:one · task#{task} · {how.status} · ")
    assert textwrap.dedent(body) == how.body
    assert queues.workers() == []
    assert (await queues.call("queue list"))[0].running == 0
