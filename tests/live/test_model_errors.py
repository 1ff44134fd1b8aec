"""Errors of the model that pass, or do not: tried again by the CLI alone, and ended when a person says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model
from stage import Stage, ended, of
from stage import turn as claude_turn

from aegis.driver import Driver
from aegis.events import Notice, Text, TurnEnded
from aegis.testing.contract_base import of as events_of
from aegis.testing.seats import PATIENCE, Seats, heard, turn
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver

PASSING = (429, 503, 529)


@pytest.mark.ability("model errors")
@pytest.mark.parametrize("status", [429, 503])
async def test_claude_ends_a_turn_that_its_own_retries_did_not_save(stage: Stage, status: int) -> None:
    stage.model.follow({"when": "break", "error": status, "message": "the kitchen is on fire"}, {"say": "better"})
    async with stage.open() as session:
        events = await claude_turn(session, "break")
        assert ended(events).outcome == "failed" and "the kitchen is on fire" in ended(events).reason
        assert [str(status) in notice.text for notice in of(Notice, events)] == [True, True], "twice, as it was told"
        assert ended(await claude_turn(session, "and now")).reply == "better"


@pytest.fixture(params=["gemini", "opencode"])
def staged(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> tuple[Seats, dict[str, Any]]:
    home, command = tmp_path / "home", [request.getfixturevalue(request.param)]
    driver: Driver = GeminiDriver()
    if request.param == "gemini":
        return Seats(driver, tmp_path, gemini_environment(home, model)), {"command": command, "model": "gemini-2.5-pro"}
    driver = OpenCodeDriver()
    return Seats(driver, tmp_path, opencode_environment(home, model)), {"command": command, "model": "probe/scripted"}


@pytest.mark.ability("retries")
@pytest.mark.parametrize("status", PASSING)
async def test_what_passes_costs_no_turn(staged: tuple[Seats, dict[str, Any]], model: Model, status: int) -> None:
    seats, keys = staged
    model.follow({"when": "^go$", "error": status, "times": 1}, {"say": "there"})
    async with seats.open(keys) as session:
        events = await turn(session, "go")
    end = events[-1]
    assert isinstance(end, TurnEnded) and end.outcome == "completed"
    assert "".join(event.text for event in events_of(Text, events)).endswith("there")


async def asked(model: Model) -> None:
    """Wait until the model was asked for something."""
    with trio.fail_after(PATIENCE):
        while True:
            if model.requests():
                return
            await trio.sleep(0.05)


@pytest.mark.ability("interrupt")
async def test_what_does_not_pass_is_tried_again_by_the_cli_until_a_person_stops_it(
    staged: tuple[Seats, dict[str, Any]], model: Model
) -> None:
    seats, keys = staged
    model.follow({"when": "^go$", "error": 529}, {"say": "better"})
    async with seats.open(keys) as session:
        await session.send("go")
        await asked(model)
        await session.interrupt()
        [end] = events_of(TurnEnded, await heard(session, TurnEnded))
        assert end.outcome == "cancelled"
        events = await turn(session, "again")
    assert "".join(event.text for event in events_of(Text, events)).endswith("better")
