"""The client in the kernel's own process keeps the contract of all clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aegis import Caller, Client
from aegis.app import Kernel
from aegis.testing.client_contract import ClientContract


class TestLocalClient(ClientContract):
    @asynccontextmanager
    async def connect(self, kernel: Kernel) -> AsyncIterator[Client]:
        yield kernel.client(Caller("human", "anna"))
