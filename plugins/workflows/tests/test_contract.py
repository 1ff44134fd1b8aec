"""Workflows keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestWorkflows(PluginContract):
    plugin = "workflows"
