"""What a run did: every step in the ledger, so that a later attempt takes the results instead of the steps.

Book `workflow` (key: run): `started` → (`begun` → `done`)* → `finished` | `errored` | `cancelled`, or `parked` until it
is `decided`; `asked`, `answered`, `logged` in between, `resumed` after a restart, `retried` when it starts again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import trio

from aegis import Caller, Kernel, NotFound
from aegis.ledger import Draft, Record

State = Literal["running", "needs attention", "ok", "error", "cancelled"]
OVER = ("ok", "error", "cancelled")


class Run(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One run of a workflow; `caller` is the one it is for, as data, `source` where the workflow comes from."""

    id: str
    name: str
    by: str
    started: str
    args: dict[str, Any] = {}
    caller: dict[str, Any] = {}
    address: str = ""
    callback: bool = True
    version: str = ""
    source: str = ""
    trace: str = ""
    hops: int = 0
    state: State = "running"
    attempt: int = 1
    ended: str = ""
    result: Any = None
    error: str = ""
    step: str = ""
    questions: dict[str, dict[str, Any]] = {}

    @property
    def over(self) -> bool:
        """True once it has ended."""
        return self.state in OVER

    @property
    def acting(self) -> Caller:
        """The program that acts for the one who began the run, with no more rights than that one has."""
        kind, _, name = self.by.partition(":")  # of a run that was begun before its caller was kept
        kept = self.caller or {"kind": kind, "name": name, "trace": self.trace}
        began = msgspec.convert(kept, Caller)
        if began.class_ == "agent" and not began.agent_id:  # of another machine: an agent's act, of nobody's permission
            began = msgspec.structs.replace(began, agent_id=began.principal)
        return msgspec.structs.replace(began.through("workflow", self.id), hops=self.hops)

    def mark(self, place: str = "") -> str:
        """Return what its processes carry, or those of one step, by which they are found."""
        return f"{self.id}.{place}" if place else self.id


class Step(msgspec.Struct):
    """One recorded step: what it is, and its result once it is done."""

    kind: str
    what: str
    data: dict[str, Any]
    done: bool = False
    result: Any = None
    error: str = ""


class RunStore:
    """Every run; those that have ended stay on disk only."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("workflow")
        self.active: dict[str, Run] = {}
        self.followers: dict[str, list[list[str]]] = {}
        self.news = trio.Event()

    def restore(self) -> None:
        """Rebuild what is under way."""
        over = ("finished", "errored", "cancelled")
        self._book.fold(self._begin, self._apply, lambda: list(self.active.values()), ends=over)

    def _begin(self, snapshot: Any) -> None:
        self.active = {run["id"]: msgspec.convert(run, Run) for run in snapshot}

    def _apply(self, record: Record) -> None:
        if record.kind == "started":
            self.active[record.key] = msgspec.convert(record.data, Run)
        elif "state" in record.data or "questions" in record.data:
            old = self.active.get(record.key) or self._folded(record.key, record.seq - 1)
            run = self.active[record.key] = changed(old, record.data)
            if run.over:
                del self.active[record.key]

    def draft(self, kind: str, run_id: str, **data: Any) -> Draft:
        """Return a record about a run, to be stored with others."""
        return self._book.draft(kind, run_id, **data)

    async def append(self, *drafts: Draft) -> None:
        """Store them all or none, and show them to those who follow their runs."""
        await self._kernel.ledger.append(*drafts)
        for draft in drafts:
            for follower in self.followers.get(draft.key, ()):
                follower.append(shown(draft.kind, draft.data))
        self.wake_followers()

    def wake_followers(self) -> None:
        """Wake those who follow a run."""
        self.news.set()
        self.news = trio.Event()

    def find(self, run_id: str) -> Run:
        """Return the run, however long ago it ended; raises `NotFound`."""
        return self.active.get(run_id) or self._folded(run_id)

    def _folded(self, run_id: str, upto: int = 2**62) -> Run:
        records = [r for r in self._book.find(run_id) if r.seq <= upto]
        if not records or records[0].kind != "started":
            raise NotFound(f"there is no run {run_id!r}")
        return run_of(records)

    def newest(self, count: int) -> list[Run]:
        """Return the runs that began last, the newest first."""
        return [self.find(record.key) for record in self._book.newest("started", count)]

    def records(self, run_id: str) -> list[Record]:
        """Return all there is about a run, oldest first."""
        return self._book.find(run_id)


def run_of(records: list[Record]) -> Run:
    """Return the run as its records, the first of which is `started`, say that it is."""
    run = msgspec.convert(records[0].data, Run)
    for record in records[1:]:
        run = changed(run, record.data) if "state" in record.data or "questions" in record.data else run
    return run


def steps_of(records: list[Record]) -> tuple[dict[str, Step], dict[str, str], Any]:
    """Return the steps of a run's last attempt by their place, what was decided, and its last checkpoint."""
    steps: dict[str, Step] = {}
    decided: dict[str, str] = {}
    checkpoint: Any = None
    for record in records:
        data, at = record.data, str(record.data.get("at_step", ""))
        match record.kind:
            case "retried":
                steps, decided = {}, {}
            case "begun":
                steps[at] = Step(data["step"], data["what"], data)
            case "done":
                step = steps.setdefault(at, Step(data["step"], data["what"], data))
                step.done, step.result, step.error = True, data.get("value"), data.get("failed", "")
                if data["step"] == "checkpoint":
                    checkpoint = data.get("value")
            case "decided":
                decided[at] = data["decision"]
    return steps, decided, checkpoint


def shown(kind: str, data: dict[str, Any]) -> str:
    """Return a record as a line that people read."""
    what = f"{data.get('at_step', '')} {data.get('step', '')} {data.get('what', '')}".strip()
    more = data.get("text") or data.get("failed") or data.get("error") or data.get("decision") or ""
    trace = f"\n{data['traceback']}" if data.get("traceback") else ""
    return " · ".join(filter(None, (kind, what, str(more)))) + trace


def changed(run: Run, data: dict[str, Any]) -> Run:
    """Return the run as a record's data says that it is now."""
    known = {name: data[name] for name in Run.__struct_fields__ if name in data}
    return msgspec.convert({**msgspec.to_builtins(run), **known}, Run)
