"""The tasks that have not ended: what a pending one waits for, and which of them may begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from itertools import chain, islice

from aegis_queue.ids import Ids
from aegis_queue.pending import Pending, Waiting, shared, waiting
from aegis_queue.task import State, Task


class Active:
    """Of each pending task an entry, of each running one everything (None until that was read)."""

    def __init__(self) -> None:
        self.running: dict[str, Task | None] = {}
        self.blocked: dict[str, str] = {}
        self._waiting: Ids[Waiting] = Ids()
        self._queues: dict[str, Pending] = {}
        self._agents: dict[str, dict[str, Waiting]] = {}  # whose act it is, or who had it → pending tasks
        self._needs: dict[str, set[str]] = {}  # task → unfinished tasks it waits for
        self._needed: dict[str, list[str]] = {}  # task → tasks that wait, or waited, for it
        self._taken: dict[str, Waiting] = {}

    def __contains__(self, task_id: str) -> bool:
        return task_id in self.running or self._waiting.get(task_id) is not None

    def entry(self, task_id: str) -> Waiting | None:
        """Return the entry of a pending task."""
        return self._waiting.get(task_id)

    def entries(self) -> list[Waiting]:
        """Return every pending task."""
        return self._waiting.values()

    def of_queue(self, queue: str) -> Pending:
        """Return the pending tasks of a queue."""
        if (found := self._queues.get(queue)) is None:
            found = self._queues[queue] = Pending()
        return found

    # -- coming and going ---------------------------------------------------------------------------------------

    def wait(self, task: Task) -> Waiting:
        """Have a task that is not here among the pending ones, where it may not begin before it is placed."""
        return self.keep(waiting(task))

    def keep(self, entry: Waiting) -> Waiting:
        """Have the entry of a pending task here, as `wait` does."""
        self._waiting.put(entry.id, shared(entry))
        self.of_queue(entry.queue).add(entry)
        for agent in {entry.agent, entry.former} - {""}:
            self._agents.setdefault(agent, {})[entry.id] = entry
        return entry

    def take_out(self, task_id: str) -> State | None:
        """Take out the task and return in which state it was; None when it is not here."""
        if task_id in self.running:
            del self.running[task_id]
            return "running"
        if (entry := self._waiting.pop(task_id)) is None:
            return None
        self.of_queue(entry.queue).remove(entry)
        for agent in {entry.agent, entry.former} - {""}:
            self._agents[agent].pop(task_id)
            if not self._agents[agent]:
                del self._agents[agent]
        for known in (self._needs, self.blocked, self._taken):
            known.pop(task_id, None)
        return "pending"

    def place(self, entry: Waiting, lost: Callable[[str], bool]) -> None:
        """Let it begin unless it waits for others; `lost` says whether one that has ended has no result."""
        self._taken.pop(entry.id, None)
        waits = {other for other in entry.after if other in self}
        for other in set(entry.after) - waits:
            if lost(other):
                self.blocked[entry.id] = other
        if waits:
            self._needs[entry.id] = waits
            for other in waits:
                self._needed.setdefault(other, []).append(entry.id)
        elif entry.id not in self.blocked:
            self.of_queue(entry.queue).free(entry)

    def over(self, task_id: str, state: str) -> Iterator[str]:
        """Take in the end of a task and yield those that may begin now because of it, or never will."""
        for waiting_id in self._needed.pop(task_id, ()):
            needs, entry = self._needs.get(waiting_id, set()), self._waiting.get(waiting_id)
            if entry is None or task_id not in needs:
                continue
            needs.discard(task_id)
            if state != "completed":
                self.blocked[waiting_id] = task_id
            if not needs:
                del self._needs[waiting_id]
                if waiting_id not in self.blocked and waiting_id not in self._taken:
                    self.of_queue(entry.queue).free(entry)
                yield waiting_id

    def take(self, task_id: str) -> bool:
        """Let nobody else begin or end it; False when somebody took it already, or it is not pending."""
        entry = self._waiting.get(task_id)
        if entry is None or task_id in self._taken:
            return False
        self._taken[task_id] = entry
        self.of_queue(entry.queue).hold(entry)
        return True

    def put_back(self, task_id: str, lost: Callable[[str], bool]) -> bool:
        """Give a task that was taken its place again; False when nobody has taken it."""
        if entry := self._taken.get(task_id):
            self.place(entry, lost)
        return entry is not None

    # -- looking ------------------------------------------------------------------------------------------------

    def ran(self, queue: str = "") -> list[Task]:
        """Return the running tasks, of one queue or of all, in the order of arrival."""
        return sorted((t for t in self.running.values() if t and queue in ("", t.queue)), key=lambda t: t.seq)

    def page(self, queue: str, count: int) -> list[Waiting]:
        """Return the pending tasks that stand first, in one queue or in all."""
        pages = (self.of_queue(name).page(count) for name in ([queue] if queue else [*self._queues]))
        return nsmallest(count, chain.from_iterable(pages))

    def position(self, task_id: str) -> int:
        """Return where a pending task stands in its queue, those left out that are about to begin; else 0."""
        if (entry := self._waiting.get(task_id)) is None or task_id in self._taken:
            return 0
        beginning = sum(other.queue == entry.queue and other < entry for other in self._taken.values())
        return self.of_queue(entry.queue).position(entry) - beginning

    def agents(self) -> set[str]:
        """Return the agents whose act a task is, or who had it in an earlier attempt."""
        running = (agent for t in self.running.values() if t for agent in (t.agent, t.former))
        return {*self._agents, *running} - {""}

    def of(self, agent: str) -> tuple[list[Task], list[Waiting]]:
        """Return the running and the pending tasks of such an agent."""
        running = [t for t in self.running.values() if t and agent in (t.agent, t.former)]
        return running, [*self._agents.get(agent, {}).values()]

    def owned(self, agent: str, queue: str) -> int:
        """Return how many tasks in the queue are the agent's act."""
        running, pending = self.of(agent)
        return sum((t.queue, t.agent) == (queue, agent) for t in chain[Task | Waiting](running, pending))

    def ids(self, end: str, count: int) -> list[str]:
        """Return ids that end like this, at most so many."""
        running: Iterable[str] = (x for x in self.running if x.upper().endswith(end.upper()))
        return list(islice(chain(running, self._waiting.ending(end)), count))
