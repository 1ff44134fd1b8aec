"""The Claude Code driver keeps what every driver and every plugin keeps; the real CLI does so in `tests/live`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis.testing.contracts import DriverContract, PluginContract
from aegis.testing.scenarios import SCRIPT
from aegis_claude.driver import ClaudeDriver


class TestDriver(DriverContract):
    @pytest.fixture
    def driver(self) -> ClaudeDriver:
        return ClaudeDriver()

    @pytest.fixture
    def stage(self, fakecli: Callable[..., list[str]]) -> dict[str, Any]:
        return {"command": fakecli(SCRIPT, "aegis_claude.testing")}


class TestPlugin(PluginContract):
    plugin = "claude"
