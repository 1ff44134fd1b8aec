"""The scripted agent keeps what every driver and every plugin keeps."""

import pytest

from aegis.testing.contracts import DriverContract, PluginContract
from aegis.testing.scenarios import SCRIPT
from aegis_scripted.driver import ScriptedDriver


class TestDriver(DriverContract):
    @pytest.fixture
    def driver(self):
        return ScriptedDriver()

    @pytest.fixture
    def stage(self):
        return {"script": SCRIPT}


class TestPlugin(PluginContract):
    plugin = "scripted"
