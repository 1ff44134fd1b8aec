"""Environment keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestEnvironment(PluginContract):
    plugin = "environment"
