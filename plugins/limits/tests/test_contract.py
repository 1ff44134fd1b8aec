"""aegis-limits keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestLimits(PluginContract):
    plugin = "limits"
