"""What every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestMcp(PluginContract):
    plugin = "mcp"
