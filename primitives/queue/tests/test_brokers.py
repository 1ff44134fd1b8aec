"""Every broker keeps the contract, and nobody can tell one from another."""

from __future__ import annotations

from file_broker import FileBroker

from aegis_queue.broker import Broker
from aegis_queue.store import LedgerBroker
from aegis_queue.testing import BrokerContract


class TestLedger(BrokerContract):
    def broker(self) -> Broker:
        return LedgerBroker()


class TestFile(BrokerContract):
    def broker(self) -> Broker:
        return FileBroker()
