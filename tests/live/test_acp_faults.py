"""Gemini CLI and OpenCode when the model fails, and when they are left in the middle of a turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model

from aegis.driver import Driver
from aegis.events import Text, TurnEnded
from aegis.testing.seats import Seats, heard, turn
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver

QUIT = 2.0  # seconds that leaving may take


@pytest.fixture(params=["gemini", "opencode"])
def staged(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> tuple[Seats, dict[str, Any]]:
    home, command = tmp_path / "home", [request.getfixturevalue(request.param)]
    driver: Driver = GeminiDriver()
    if request.param == "gemini":
        return Seats(driver, tmp_path, gemini_environment(home, model)), {"command": command, "model": "gemini-2.5-pro"}
    driver = OpenCodeDriver()
    return Seats(driver, tmp_path, opencode_environment(home, model)), {"command": command, "model": "probe/scripted"}


@pytest.mark.ability("model errors")
@pytest.mark.parametrize("status", [400, 401])
async def test_a_model_error_is_a_failed_turn_in_the_providers_words(
    staged: tuple[Seats, dict[str, Any]], model: Model, status: int
) -> None:
    seats, keys = staged
    model.follow({"when": "^go$", "error": status, "message": "the prompt is made of cheese"})
    async with seats.open(keys) as session:
        end = (await turn(session, "go"))[-1]
        assert isinstance(end, TurnEnded) and end.outcome == "failed" and "made of cheese" in end.reason
        end = (await turn(session, "again"))[-1]
        assert isinstance(end, TurnEnded) and end.outcome == "completed"


@pytest.mark.ability("clean exit")
async def test_leaving_mid_turn_is_quick_and_leaves_nothing(staged: tuple[Seats, dict[str, Any]], model: Model) -> None:
    seats, keys = staged
    model.follow({"when": "^hang$", "say": "begun", "hang": True})
    async with seats.open(keys) as session:
        await session.send("hang")
        await heard(session, Text)
        left = trio.current_time()
    assert trio.current_time() - left < QUIT
    assert seats.left() == []
