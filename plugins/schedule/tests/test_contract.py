"""aegis-schedule keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestSchedule(PluginContract):
    plugin = "schedule"
