"""Whatever happens in whatever order: caps hold, nothing is lost, and every task ends once and is told of once.

Another seed: `AEGIS_SEED=123 pytest primitives/queue/tests/test_story.py`.
"""

from __future__ import annotations

import os
import random

import pytest
import trio
from story import Story, Wobbly

from aegis.testing.trio_tests import single

WALKS, STEPS = 8, 260
FIRST = int(os.environ.get("AEGIS_SEED", random.SystemRandom().randrange(10**6)))
HAPPENED = {
    "enqueue", "end_a_turn", "time_goes_on", "retry", "report", "cancel", "rename", "close", "interrupt", "pause",
    "the_clock_is_set", "trouble", "snapshot", "crash", "restart",
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(WALKS))
def test_every_task_ends_once_and_is_told_of_once(tmp_path, number):
    clock = Wobbly()
    story = Story(tmp_path, FIRST + number, clock)
    try:
        trio.run(story.play, STEPS, clock=clock.trio)
    except BaseExceptionGroup as group:
        raise single(group) or group from None
    finally:
        fates = story.books.fates.values()
        steps, ends = sum(story.seen[x] for x in HAPPENED), sum(fate.ends for fate in fates)
        print(f"seed {FIRST + number}: {steps} steps, {len(fates)} tasks, {ends} ends, {story.lives} lives")
    assert story.seen.keys() >= HAPPENED, f"never happened: {HAPPENED - story.seen.keys()}"
    assert ends >= len(fates) > 20
