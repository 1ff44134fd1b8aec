"""What handing over a task costs, in counts that are the same on every machine."""

from __future__ import annotations

import gc
import tracemalloc

from queue_stage import Queues

from aegis.clock import new_id
from aegis.testing.counting import counted
from aegis_queue.store import WHOLE


async def test_an_enqueue_is_one_append_and_reads_nothing_from_disk(queues: Queues):
    await queues.call("queue pause", queue="one")
    await queues.put("the first one fills caches")
    await queues.settled()
    with counted() as count:
        await queues.put("work")
    assert (count.appends, count.reads) == (1, 0)
    assert set(count.sections) == {"queues", "plugins.queue"}


async def test_a_task_is_four_appends_from_its_acceptance_to_its_callback(queues: Queues):
    await queues.end(await queues.put("the first one fills caches"))
    await queues.settled()
    with counted() as count:
        await queues.call("task wait", task_id=await queues.put("work"))
    # accepted; begun, with its worker and the payload; its turn over; ended, with the callback
    assert (count.appends, count.reads) == (4, 0)
    assert set(count.sections) <= {"queues", "plugins.queue", "environment"}, "its own, and what a CLI inherits"


async def test_an_enqueue_behind_many_others_reads_nothing_either(queues: Queues):
    await queues.call("queue pause", queue="one")
    for _ in range(WHOLE + 1):
        await queues.put("work")
    await queues.settled()
    with counted() as count:
        await queues.put("one more, of which nothing but its place is kept")
    assert (count.appends, count.reads) == (1, 0)


async def test_what_is_shown_of_a_queue_does_not_grow_with_it(queues: Queues):
    await queues.call("queue pause", queue="one")
    costs = {}
    for many in (10, 300):
        for _ in range(many):
            task = await queues.put("work")
        await queues.settled()
        with counted(lines=True) as count:
            await queues.call("task show", task_id=task)
            await queues.call("task show", task_id=task[-8:])
            await queues.call("task list", count=5)
            await queues.call("queue show", queue="one", count=5)
        costs[many] = count.lines
    assert costs[300] <= costs[10] + 200, f"for each of those that wait it would be far more: {costs}"


async def test_a_pending_task_takes_half_a_kilobyte_however_long_its_payload(queues: Queues):
    await queues.call("queue pause", queue="one")
    book = queues.kernel.ledger.book("queue")

    async def accepted(count: int) -> None:
        more = {
            "queue": "one",
            "payload": "x" * 3_000,
            "enqueued_by": "human:anna",
            "enqueued_at": "2026-01-05T10:00:00Z",
        }
        await queues.kernel.ledger.append(
            *(book.draft("enqueued", task, task_id=task, **more) for task in [new_id() for _ in range(count)])
        )

    await accepted(1_000)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await accepted(5_000)
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / 5_000
    finally:
        tracemalloc.stop()
    assert each < 512
