"""The ACP driver keeps what every driver and every plugin keeps; real agents do so in `tests/live`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis.testing.contracts import DriverContract, PluginContract
from aegis.testing.scenarios import SCRIPT
from aegis_acp.driver import AcpDriver


class TestDriver(DriverContract):
    @pytest.fixture
    def driver(self) -> AcpDriver:
        return AcpDriver()

    @pytest.fixture
    def stage(self, fakecli: Callable[..., list[str]]) -> dict[str, Any]:
        return {"command": fakecli(SCRIPT, "aegis_acp.testing")}


class TestPlugin(PluginContract):
    plugin = "acp"
