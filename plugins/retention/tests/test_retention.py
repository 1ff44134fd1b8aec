"""A project with a past is as it was after compaction, but for what was over; and it is small."""

from __future__ import annotations

import os

import pytest

import aegis_approvals.plugin
import aegis_inbox.plugin
import aegis_queue.plugin
import aegis_records.plugin
import aegis_retention.plugin
from aegis import Caller, NotFound, Refused
from aegis.events import Notice
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")
YEAR = 31_536_000.0


@pytest.fixture
def plugins() -> dict[str, object]:
    found = {"inbox": aegis_inbox.plugin, "queue": aegis_queue.plugin, "records": aegis_records.plugin}
    return {**found, "retention": aegis_retention.plugin, "approvals": aegis_approvals.plugin, "echo": EchoPlugin()}


@pytest.fixture(autouse=True)
def config(project) -> None:
    (project / ".aegis.yaml").write_text("queues: {work: {agent: echo, max_parallel: 4}, held: {agent: echo}}\n")


async def past(kernel, tasks: int) -> list[str]:
    """Live for a while, and return the ids of the tasks."""
    call = kernel.verbs.call
    ids = [(await call(ANNA, "enqueue", {"queue": "work", "payload": f"do {n} " * 40})).task_id for n in range(tasks)]
    for task in ids:
        await call(ANNA, "task wait", {"task_id": task})
    await call(ANNA, "spawn", {"agent": "echo", "handle": "ann"})
    ann = kernel.roster.find("ann")
    receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", ann.id, "hello"))
    await kernel.post.wait_turn(receipt.id)
    return ids


async def test_what_is_over_goes_and_what_is_open_stays(kernel_with, plugins, clock, project) -> None:
    async with kernel_with(**plugins) as kernel:
        call = kernel.verbs.call
        await call(ANNA, "queue pause", {"queue": "held"})
        waits = (await call(ANNA, "enqueue", {"queue": "held", "payload": "later"})).task_id
        ids = await past(kernel, 150)
        await kernel.post.deliver(kernel.post.envelope("ann", "human:anna", "read me"))
        clock.jump(YEAR)
        for file in (project / ".aegis" / "state" / "sessions").rglob("*.jsonl"):
            os.utime(file, (0, 0))
        before = {row.what: row.records for row in await call(ANNA, "ledger show")}
        listed = [row.id for row in await call(ANNA, "task list", {"count": 1000})]
        done = await call(ANNA, "ledger compact", {"older_than": "30d"})
        after = {row.what: row.records for row in await call(ANNA, "ledger show")}
        assert done.records > 300
        assert done.bytes_after < done.bytes_before
        for book in ("mail", "roster", "queue"):
            assert after[f"book {book}"] < before[f"book {book}"]
        kept = [row.id for row in await call(ANNA, "task list", {"count": 1000})]
        assert waits in kept
        assert set(kept) <= set(listed)
        assert (await call(ANNA, "task show", {"task_id": kept[0]})).task_id == kept[0]
        assert [x.envelope.body for x in kernel.post.letters("human:anna")][-1] == "read me"
        mirror = [*(project / ".aegis" / "state").glob("[qb]*/*.jsonl")]
        assert not [file for file in mirror if ids[0] in file.read_text()]
        counts = await call(ANNA, "queue list")
    async with kernel_with(**plugins) as kernel:
        call = kernel.verbs.call
        assert await call(ANNA, "queue list") == counts
        assert [x.envelope.body for x in kernel.post.letters("human:anna")][-1] == "read me"
        assert kernel.roster.find("ann").handle == "ann"
        with pytest.raises(NotFound):
            await call(ANNA, "task show", {"task_id": ids[0]})
        await call(ANNA, "queue resume", {"queue": "held"})
        assert "later" in await call(ANNA, "task wait", {"task_id": waits})


async def test_a_ledger_in_which_nothing_is_old_is_not_said_to_have_grown(kernel_with, plugins) -> None:
    async with kernel_with(**plugins) as kernel:
        await past(kernel, 70)
        done = await kernel.verbs.call(ANNA, "ledger compact", {"older_than": "30d"})
        assert done.records == 0
        assert done.bytes_after <= done.bytes_before


async def test_it_is_done_as_the_settings_say(kernel_with, plugins, clock, project) -> None:
    async with kernel_with(**plugins) as kernel:
        await past(kernel, 70)
        rows = {row.what: row.records for row in await kernel.verbs.call(ANNA, "ledger show")}
        file = project / ".aegis.yaml"
        file.write_text(file.read_text() + "keep: {age: 4w}\n")
        clock.jump(YEAR)
        with kernel.bus.subscribe(only=(Notice,)) as news:
            await kernel.config.refresh("human:anna")
            said = [event.text for batch in await anext(news) for event in batch.events]
        assert "that were over for 28 days are taken out" in said[0]
        after = {row.what: row.records for row in await kernel.verbs.call(ANNA, "ledger show")}
        assert after.get("book queue", 0) < rows["book queue"]


@pytest.mark.parametrize("age", ["", "30", "0d", "a day", "30 d", "-1d", "30x"])
async def test_an_age_that_is_none_gets_a_sentence(kernel_with, plugins, age: str) -> None:
    async with kernel_with(**plugins) as kernel:
        with pytest.raises(Refused, match=r"say how old|is no age; say it like 12h, 30d or 8w"):
            await kernel.verbs.call(ANNA, "ledger compact", {"older_than": age})


async def test_an_agent_takes_nothing_out(kernel_with, plugins) -> None:
    async with kernel_with(**plugins) as kernel:
        with pytest.raises(Refused):
            await kernel.verbs.call(Caller("agent", "eve", agent_id="x"), "ledger compact", {"older_than": "1h"})
