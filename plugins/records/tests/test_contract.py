"""aegis-records keeps what every plugin keeps."""

from aegis.testing.contracts import PluginContract


class TestRecords(PluginContract):
    plugin = "records"
