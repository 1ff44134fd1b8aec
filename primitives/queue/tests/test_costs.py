"""What handing over a task costs, in counts that are the same on every machine."""

from __future__ import annotations

from queue_stage import Queues

from aegis.testing.counting import counted


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
