"""Every broker keeps the contract, and nobody can tell one from another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from file_broker import FileBroker, FileBrokerPlugin
from queue_stage import Queues

import aegis_queue.plugin
from aegis import Refused
from aegis.testing.echo import EchoPlugin
from aegis_queue.broker import Broker
from aegis_queue.store import LedgerBroker
from aegis_queue.testing import BrokerContract


class TestLedger(BrokerContract):
    def broker(self) -> Broker:
        return LedgerBroker()


class TestFile(BrokerContract):
    def broker(self) -> Broker:
        return FileBroker()


CONFIG = "plugins: {queue: {broker: %s}}\nqueues: {one: {agent: echo}}\n"


def opened(kernel_with, project, broker: str, **more):
    (project / ".aegis.yaml").write_text(CONFIG % broker)
    return kernel_with(echo=EchoPlugin(), queue=aegis_queue.plugin, **more)


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds; threads of the broker are no concern of the ledger."""
    with trio.fail_after(10):
        while not holds():
            await trio.testing.wait_all_tasks_blocked(0.005)


async def working(queues: Queues) -> None:
    """Return once a broker keeps the tasks."""
    with trio.fail_after(10):
        while True:
            try:
                await queues.call("task list")
            except Refused:
                await trio.testing.wait_all_tasks_blocked(0.005)
            else:
                return


async def test_a_project_chooses_the_engine_that_keeps_its_tasks(kernel_with, project):
    async with opened(kernel_with, project, "file", engine=FileBrokerPlugin()) as kernel:
        queues = Queues(kernel, EchoPlugin())
        task = await queues.put("work")
        assert (await queues.end(task)).outcome == "ok"
        await until(queues.mail)  # which is sent after the end is stored
        assert len(queues.mail()) == 1
        assert kernel.ledger.book("queue").find(task) == []
    async with opened(kernel_with, project, "file", engine=FileBrokerPlugin()) as kernel:
        assert (await Queues(kernel, EchoPlugin()).status(task)).outcome == "ok"


async def test_an_engine_that_nobody_offers_is_named_and_used_once_it_comes(kernel_with, project):
    async with opened(kernel_with, project, "fyle") as kernel:
        queues = Queues(kernel, EchoPlugin())
        with pytest.raises(Refused, match=r"no plugin here offers the broker 'fyle', .* \(there are: ledger\)"):
            await queues.put("work")
    async with opened(kernel_with, project, "file") as kernel:
        queues = Queues(kernel, EchoPlugin())
        await queues.settled()
        await kernel.plugins.enter("engine", FileBrokerPlugin())
        await working(queues)
        task = await queues.put("work")
        assert (await queues.end(task)).outcome == "ok"
        await kernel.plugins.leave("engine")
        await queues.settled()
        with pytest.raises(Refused, match="no plugin here offers the broker 'file'"):
            await queues.put("work")
        await kernel.plugins.enter("engine", FileBrokerPlugin())
        await working(queues)
        assert (await queues.status(task)).outcome == "ok"
        assert not kernel.faults
