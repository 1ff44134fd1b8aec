"""aegis-approvals keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestApprovals(PluginContract):
    plugin = "approvals"
