"""The client across the control socket keeps the contract of all clients."""

from __future__ import annotations

import pytest
import trio

from aegis import AegisError
from aegis.events import Text
from aegis.testing.client_contract import ClientContract, events
from aegis_cli import plugin
from aegis_cli.socket_client import connected
from aegis_cli.socket_path import socket_of


class TestSocketClient(ClientContract):
    @pytest.fixture
    def beside(self):
        return {"cli": plugin}

    def connect(self, kernel):
        return connected(str(socket_of(kernel.project)))


@pytest.fixture
def plugins():
    return {"cli": plugin}


async def test_a_watch_is_over_when_the_kernel_has_ended_and_everything_is_told(kernel_with, plugins):
    seen = []
    async with trio.open_nursery() as nursery:

        async def watch(path, task_status):
            async with connected(path) as client, client.watch() as news:
                task_status.started()
                async for batches in news:
                    seen.extend(e.text for b in batches for e in b.events if isinstance(e, Text))
                with pytest.raises(AegisError, match="closed"):
                    async with client.watch():
                        pass

        async with kernel_with(**plugins) as kernel:
            await nursery.start(watch, str(socket_of(kernel.project)))
            for n in range(5):
                kernel.bus.publish("1", Text(str(n)))
            await trio.testing.wait_all_tasks_blocked()
    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_watch_that_was_left_costs_the_kernel_nothing(kernel):
    async with connected(str(socket_of(kernel.project))) as client:
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            before = set(kernel.bus.subscriptions)
            async with client.watch() as news:
                kernel.bus.publish("1", Text("x"))
                await events(news, 1)
                during = set(kernel.bus.subscriptions) - before
                assert during
            with trio.fail_after(5):
                while during & kernel.bus.subscriptions:
                    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"since": "x"}, "begins after a number"),
        ({"watch": [1]}, "named by a string or a number"),
        ({"watch": "a"}, "a watch 'a' on this connection already"),
    ],
)
async def test_a_watch_that_cannot_be_is_refused(params, said, kernel):
    async with connected(str(socket_of(kernel.project))) as client:
        await client._request("watch", watch="a")  # noqa: SLF001 - no client of ours asks so
        with pytest.raises(AegisError, match=said):
            await client._request("watch", **params)  # noqa: SLF001 - the same
