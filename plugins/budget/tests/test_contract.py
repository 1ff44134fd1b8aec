"""aegis-budget keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestBudget(PluginContract):
    plugin = "budget"
