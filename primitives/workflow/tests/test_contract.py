"""Workflow keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestWorkflow(PluginContract):
    plugin = "workflow"
