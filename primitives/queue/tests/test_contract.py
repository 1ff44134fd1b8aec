"""Queue keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestQueue(PluginContract):
    plugin = "queue"
