"""The order of a queue, and the deadlocks that workers could run into, against slow and simple models."""

from __future__ import annotations

from collections import Counter

import trio
from hypothesis import given
from hypothesis import strategies as st

from aegis_queue.deadlocks import involved, would_deadlock
from aegis_queue.ids import Ids
from aegis_queue.pending import Pending, Waiting, waiting
from aegis_queue.task import Task


def task(number: int, **more) -> Task:
    more = {"queue": "one", "payload": "x", "enqueued_by": "human:a", "enqueued_at": "", "seq": number} | more
    return Task(id=str(number), **more)


def at(seconds: int) -> str:
    return f"2026-01-05T10:{seconds // 60:02}:{seconds % 60:02}Z"


def put(line: Pending, number: int, **more) -> Waiting:
    entry = waiting(task(number, **more))
    line.add(entry)
    line.free(entry)
    return entry


def test_what_was_due_once_is_not_lost_when_the_clock_is_set_back():
    line = Pending()
    put(line, 1, not_before=at(60))
    assert line.first(at(61)).id == "1"
    assert line.first(at(30)) is None
    assert line.due() == at(60)
    assert line.first(at(60)).id == "1"


def test_a_line_does_not_remember_those_who_left():
    line = Pending()
    put(line, 0, priority=-1)
    for number in range(1, 5000):
        line.remove(put(line, number, not_before=at(number % 60) if number % 2 else ""))
    assert len(line._ready) + len(line._later) < 300  # noqa: SLF001 - what it holds cannot be seen otherwise
    assert line.first(at(0)).id == "0"


def test_ids_are_found_by_their_ends():
    ids = Ids()
    for number in range(1000):
        ids.put(f"TASK-{number:03}", number)
    ids.pop("TASK-123")
    assert (ids.get("TASK-124"), ids.get("TASK-123"), ids.get("task-124")) == (124, None, None)
    assert [*ids.ending("k-124")] == ["TASK-124"]
    assert sorted(ids.ending("23")) == [f"TASK-{n}23" for n in range(10) if n != 1]
    assert len([*ids.ending("3")]) == 99
    assert len([*ids.ending("")]) == len(ids.values()) == 999


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(-1, 1), st.integers(0, 3)),
        st.tuples(st.sampled_from(["drop", "hold", "free"]), st.integers(0, 9)),
        st.tuples(st.just("look"), st.integers(0, 4)),
    ),
    max_size=60,
)


@given(steps)
def test_the_first_is_the_one_of_the_highest_priority_that_came_first_and_is_due(script):
    line, model, known = Pending(), {}, {}
    for what, *args in script:
        if what == "put":
            name, priority, delay = args
            rank = known.setdefault(name, {"priority": priority, "seq": len(known)})  # for ever
            if name in model:
                line.remove(model.pop(name))
            model[name] = put(line, name, not_before=at(delay * 60) if delay else "", **rank)
        elif what == "drop":
            if args[0] in model:
                line.remove(model.pop(args[0]))
        elif what == "hold":
            if args[0] in model:
                line.hold(model[args[0]])
        elif what == "free":
            if args[0] in model:
                line.free(model[args[0]])
        else:
            now = at(args[0] * 60)
            due = [w for w in model.values() if w.free and w.not_before <= now]
            assert line.first(now) == min(due, default=None)
        assert line.page(100) == sorted(model.values())
        assert [line.position(w) for w in sorted(model.values())] == list(range(1, len(model) + 1))


def stuck(active: list[Task], room: dict[str, int], new: Task) -> bool:
    """Return what `would_deadlock` does: simulate rounds in which everything goes on that can."""
    tasks, done = [*active, new], set()
    running = {t.id for t in tasks if t.state == "running"}
    while True:
        before = len(done)
        for t in tasks:
            children = [c.id for c in tasks if c.callback and t.worker and c.address == t.worker]
            if t.id in running - done and all(c in done for c in children):
                done.add(t.id)
        busy = Counter(t.queue for t in tasks if t.id in running - done)
        known = {t.id for t in tasks}
        for t in tasks:
            free = t.id not in running | done and all(o in done for o in t.after if o in known)
            if free and busy[t.queue] < room[t.queue]:
                done.add(t.id)
        if len(done) == before:
            return new.id not in done


@st.composite
def situations(draw):
    room = {"one": draw(st.integers(1, 2)), "two": draw(st.integers(1, 2))}
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 8))):
        queue = draw(st.sampled_from(["one", "two"]))
        busy = sum(t.queue == queue and t.state == "running" for t in tasks)
        runs = busy < room[queue] and draw(st.booleans())
        parents = [t.worker for t in tasks if t.worker]
        address = draw(st.sampled_from([*parents, "human:anna"]))
        others = draw(st.lists(st.sampled_from([t.id for t in tasks] or ["gone"]), max_size=2))
        role = {"state": "running", "worker": f"w{number}"} if runs else {"after": tuple(dict.fromkeys(others))}
        tasks.append(task(number, queue=queue, address=address, callback=draw(st.booleans()), **role))
    new = tasks.pop()
    return tasks, room, new if new.state == "pending" else task(99, queue=new.queue, address=new.address)


@given(situations())
def test_a_deadlock_is_found_exactly_when_there_is_one(situation):
    active, room, new = situation
    assert would_deadlock(active, room, new) == stuck(active, room, new)


class Fixed:
    """Those questions to a broker that `involved` asks, and what was asked for."""

    def __init__(self, active: list[Task]) -> None:
        self.active, self.asked = active, set[str]()

    async def running(self) -> list[Task]:
        return self._seen([t for t in self.active if t.state == "running"])

    async def of(self, agent: str) -> list[Task]:
        return self._seen([t for t in self.active if t.address == agent])

    async def find(self, task_id: str) -> Task:
        [found] = self._seen([t for t in self.active if t.id == task_id]) or [task(0, state="completed")]
        return found

    def _seen(self, tasks: list[Task]) -> list[Task]:
        self.asked |= {t.id for t in tasks}
        return tasks


@given(situations())
def test_those_that_are_involved_are_enough_to_tell(situation):
    active, room, new = situation
    assert would_deadlock(trio.run(involved, Fixed(active), new), room, new) == stuck(active, room, new)


async def test_of_many_that_wait_only_those_are_looked_at_for_which_somebody_waits():
    runs = task(1, state="running", worker="w", queue="one")
    others = [task(number, address="human:anna") for number in range(2, 1000)]
    broker = Fixed([runs, *others])
    assert not would_deadlock(await involved(broker, task(1001, queue="two", address="w")), {"one": 1, "two": 1}, runs)
    assert broker.asked == {"1"}
