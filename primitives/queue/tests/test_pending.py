"""The order of a queue, and the deadlocks that workers could run into, against slow and simple models."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aegis_queue.deadlocks import would_deadlock
from aegis_queue.pending import Pending
from aegis_queue.task import Task


def task(number: int, **more) -> Task:
    more = {"queue": "one", "payload": "x", "enqueued_by": "human:a", "enqueued_at": "", "seq": number} | more
    return Task(id=str(number), **more)


def at(seconds: int) -> str:
    return f"2026-01-05T10:{seconds // 60:02}:{seconds % 60:02}Z"


def test_what_was_due_once_is_not_lost_when_the_clock_is_set_back():
    line = Pending()
    line.put(task(1, not_before=at(60)))
    assert line.first(at(61)).id == "1"
    assert line.first(at(30)) is None
    assert line.due() == at(60)
    assert line.first(at(60)).id == "1"


def test_a_line_does_not_remember_those_who_left():
    line = Pending()
    line.put(task(0, priority=-1))
    for number in range(1, 5000):
        line.put(task(number, not_before=at(number % 60) if number % 2 else ""))
        line.drop(str(number))
    assert len(line._ready) + len(line._later) < 300  # noqa: SLF001 - what it holds cannot be seen otherwise
    assert line.first(at(0)).id == "0"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(-1, 1), st.integers(0, 3)),
        st.tuples(st.just("drop"), st.integers(0, 9)),
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
            model[name] = task(name, not_before=at(delay * 60) if delay else "", **rank)
            line.put(model[name])
        elif what == "drop":
            model.pop(args[0], None)
            line.drop(str(args[0]))
        else:
            now = at(args[0] * 60)
            due = [t for t in model.values() if t.not_before <= now]
            assert line.first(now) == min(due, key=lambda t: t.rank, default=None)
        assert len(line) == len(model)


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
