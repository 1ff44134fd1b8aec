"""Configedit keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestConfigedit(PluginContract):
    plugin = "configedit"
