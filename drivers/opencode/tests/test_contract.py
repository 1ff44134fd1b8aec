"""The OpenCode driver keeps what every driver and every plugin keeps; the real CLI does so in `tests/live`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis.testing.contracts import DriverContract, PluginContract
from aegis.testing.scenarios import SCRIPT
from aegis_opencode.driver import OpenCodeDriver


class TestDriver(DriverContract):
    @pytest.fixture
    def driver(self) -> OpenCodeDriver:
        return OpenCodeDriver()

    @pytest.fixture
    def stage(self, fakecli: Callable[..., list[str]]) -> dict[str, Any]:
        return {"command": [*fakecli(SCRIPT, "aegis_acp.testing"), "--deny-ends-turn"]}


class TestPlugin(PluginContract):
    plugin = "opencode"
    beside = ("acp",)
