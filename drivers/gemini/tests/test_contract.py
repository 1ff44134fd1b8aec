"""The Gemini CLI driver keeps what every driver and every plugin keeps; the real CLI does so in `tests/live`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis.testing.contracts import DriverContract, PluginContract
from aegis.testing.scenarios import SCRIPT
from aegis_gemini.driver import GeminiDriver


class TestDriver(DriverContract):
    @pytest.fixture
    def driver(self) -> GeminiDriver:
        ticks = iter(range(0, 1_000_000, 60))
        return GeminiDriver(now=lambda: next(ticks))  # minutes pass: what happens within one is tested elsewhere

    @pytest.fixture
    def stage(self, fakecli: Callable[..., list[str]]) -> dict[str, Any]:
        like_gemini = ["--unannounced", "--no-resume", "--replay", "after"]
        return {"command": [*fakecli(SCRIPT, "aegis_acp.testing"), *like_gemini]}


class TestPlugin(PluginContract):
    plugin = "gemini"
    beside = ("acp",)
