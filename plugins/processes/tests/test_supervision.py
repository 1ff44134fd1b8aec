"""A task that crashes runs again, too often and it is down, and its siblings never notice."""

import trio

from aegis_processes.supervision import LIMIT, Supervisor


async def test_a_task_that_crashes_is_told_and_started_again_until_it_is_down(autojump):
    told, down, calm = [], [], trio.Event()

    async def shaky():
        raise ValueError("no")

    async def sibling():
        await trio.sleep(100)
        calm.set()

    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, lambda *crash: told.append(crash))
        supervisor.start("sibling", sibling)
        child = supervisor.start("shaky", shaky, down.append, owner="them")
        await child.over.wait()
        assert told == [("shaky", "ValueError('no')", n == LIMIT) for n in range(1, LIMIT + 1)]
        assert down == ["ValueError('no')"] and not supervisor.runs(child)
        await supervisor.remove("them")
        assert set(supervisor.children) == {"sibling"}
    assert calm.is_set()
