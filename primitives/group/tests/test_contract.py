"""Group keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestGroup(PluginContract):
    plugin = "group"
