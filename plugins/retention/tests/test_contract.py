"""aegis-retention keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestRetention(PluginContract):
    plugin = "retention"
