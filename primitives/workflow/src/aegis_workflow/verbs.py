"""The verbs on workflows and their runs."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from aegis import Caller, Completes, ConfigError, Kernel, NotFound, Refused, verb
from aegis.clock import new_id, stamp
from aegis_permission.acts import blind, sees
from aegis_workflow.agent_acts import for_agent
from aegis_workflow.arguments import argument_model, arguments
from aegis_workflow.arguments import shown as shown_parameters
from aegis_workflow.catalogue import name_of, version_of
from aegis_workflow.errors import WorkflowError
from aegis_workflow.human_questions import HumanQuestions, asked_in
from aegis_workflow.service import Runner
from aegis_workflow.store import Run, RunStore, shown

Name = Annotated[str, Completes("workflow"), Field(description="name of the workflow")]
RunId = Annotated[str, Completes("run"), Field(description="id of the run; the end of it is enough")]


class Begun(msgspec.Struct, frozen=True):
    """A run that is on disk."""

    workflow_id: str
    workflow_run_id: str
    name: str
    host: str
    status: str

    def __str__(self) -> str:
        return f"run {self.workflow_id} of {self.name} is {self.status}"


class RunRow(msgspec.Struct, frozen=True):
    """A run: `status` is running, needs attention, ok, error or cancelled; `asks` and `options` are by step."""

    workflow_id: str
    name: str
    status: str
    by: str
    host: str
    started: str
    ended: str
    attempt: int
    result: Any
    error: str
    asks: dict[str, str]
    options: dict[str, list[str]] = {}


class Ended(RunRow, frozen=True):
    """A run that was waited for."""

    @property
    def exit_code(self) -> int:
        """How a shell ends that waited for it: 0 when it ended well."""
        return int(self.status != "ok")


class Workflow(msgspec.Struct, frozen=True):
    """A workflow that can be run: `source` is its file or plugin, `agents` which agents may run it."""

    name: str
    arguments: str
    about: str
    source: str = ""
    agents: str = ""


class WorkflowVerbs:
    """Beginning runs, and everything people and agents do with them."""

    name = "workflows"

    def __init__(self, kernel: Kernel, store: RunStore, questions: HumanQuestions, runner: Runner) -> None:
        self._kernel, self._store, self._questions, self._runner = kernel, store, questions, runner
        kernel.verbs.complete_with("workflow", self._names)
        kernel.verbs.complete_with("run", lambda: [run.id for run in store.newest(50)])

    def restore(self) -> None:
        """Rebuild what is under way."""
        self._store.restore()

    async def run(self) -> None:
        """Go on with every run that was under way."""
        await self._runner.run()

    @verb("workflow list", tool="aegis_list_workflows", read_only=True)
    async def workflows(self, caller: Caller) -> list[Workflow]:
        """List the workflows that can be run, with their arguments; agents see those that they may run.

        Nothing of them is run for that.
        """
        rows, catalogue, acts = [], self._runner.catalogue, self._runner.acts
        for name in catalogue.names():
            function = catalogue.find(name)
            if acts.may_run(caller, name, function):
                about = (inspect.getdoc(function) or "").partition("\n")[0]
                agents = str(acts.listed(name, function) or "")
                rows.append(Workflow(name, shown_parameters(function), about, catalogue.source(function), agents))
        return rows

    @verb("workflow arguments", read_only=True, for_={"person", "program"})
    async def arguments(self, caller: Caller, name: Name) -> dict[str, Any]:
        """Show the arguments of a workflow, as a JSON schema.

        In the shell each of them is an option of `aegis workflow run NAME`.
        """
        return argument_model(self._runner.catalogue.find(name)).model_json_schema()

    @verb("workflow run", tool="aegis_run_workflow", positional=("name",))
    async def begin(
        self,
        caller: Caller,
        name: Name,
        kwargs: Annotated[
            dict[str, Any] | None,
            Field(
                description="arguments of the workflow, as JSON",
                json_schema_extra={"x-described-by": {"verb": "workflow arguments", "for": "name"}},
            ),
        ] = None,
        callback: Annotated[bool, Field(description="get a message when it has ended")] = True,
        wait: Annotated[bool, Field(description="wait for its end and show its result; fail if it fails")] = False,
        follow: Annotated[bool, Field(description="like --wait, and show each step")] = False,
    ) -> Begun | Ended:
        """Start a workflow; it goes on by itself after a crash.

        For agents:
        The run is on disk when this returns; end your turn, its result comes as a message. What it does is your act:
        you can run those that `aegis_list_workflows` shows you, and its commands need your permission.
        """
        function = self._runner.catalogue.find(name)
        self._runner.check(caller, function)
        args = arguments(function, kwargs or {})
        address = caller.agent_id or (str(caller) if caller.class_ == "person" else "")
        run = Run(
            id=new_id(), name=name_of(function), by=str(caller), args=args,
            caller=msgspec.to_builtins(caller),
            started=stamp(self._kernel.clock.now()), address=address, callback=callback and bool(address),
            version=version_of(function), source=self._runner.catalogue.source(function), trace=caller.trace,
            hops=caller.hops + (caller.class_ == "agent"),
        )  # fmt: skip
        async with self._runner.room(caller):
            await self._runner.begin(run)
        if wait or follow:
            return _if_ok(await self._runner.end_of(run.id))
        return Begun(run.id, run.id, run.name, caller.name, "running")

    @verb("workflow show", tool="aegis_workflow_status", read_only=True, positional=("workflow_id",))
    async def show(self, caller: Caller, workflow_id: RunId) -> RunRow:
        """Show a run: its state, its result or its error, and what it asks."""
        return _row(await self._seen(caller, self._find(workflow_id)))

    @verb("workflow runs", tool="aegis_workflow_runs", read_only=True)
    async def runs(
        self, caller: Caller, count: Annotated[int, Field(ge=1, le=1000, description="how many at most")] = 20
    ) -> list[RunRow]:
        """List the newest runs; an agent that sees its own has those."""
        return [_row(run) for run in self._store.newest(count) if await sees(self._kernel, caller, _owners(run))]

    @verb("workflow wait", for_={"person", "program"})
    async def wait(
        self, caller: Caller, workflow_id: RunId,
        follow: Annotated[bool, Field(description="show each step; fail if the run fails")] = False,
    ) -> Ended:  # fmt: skip
        """Wait until a run has ended or needs attention, and show it."""
        run = await self._runner.end_of(self._find(workflow_id).id)
        return _if_ok(run) if follow else _ended(run)

    @verb("workflow logs", read_only=True)
    async def logs(self, caller: Caller, workflow_id: RunId) -> str:
        """Show what a run did, step by step."""
        records = self._store.records((await self._seen(caller, self._find(workflow_id))).id)
        return "\n".join(f"{record.at} · {shown(record.kind, record.data)}" for record in records)

    @verb("workflow record", read_only=True, for_={"person", "program"})
    async def record(self, caller: Caller, workflow_id: RunId) -> str:
        """Print a run's record as JSON lines.

        In a test, `aegis_workflow.testing.replayed` plays it against the workflow as it is then.
        """
        records = self._store.records(self._find(workflow_id).id)
        return "\n".join(msgspec.json.encode(record).decode() for record in records)

    @verb("workflow replay")
    async def replay(self, caller: Caller, workflow_id: RunId) -> str:
        """Check whether a workflow, as it is now, takes the steps of a recorded run; no step is done.

        The workflow's own code is run for that.
        """
        run = self._find(workflow_id)
        self._runner.check(caller, self._runner.catalogue.find(run.name))
        return await self._runner.replay(run)

    @verb("workflow cancel", tool="aegis_workflow_cancel")
    async def cancel(self, caller: Caller, workflow_id: RunId) -> RunRow:
        """Cancel a run; the agents that it started are closed."""
        run = await self._runner.cancel(self._mine(caller, self._find(workflow_id)), f"cancelled by {caller}")
        if run.state != "cancelled":
            raise Refused(f"run {run.id} has ended already: {run.state}")
        return _row(run)

    @verb("workflow retry", tool="aegis_workflow_retry")
    async def retry(self, caller: Caller, workflow_id: RunId) -> Begun:
        """Start a run again that failed or was cancelled; it can use its checkpoints."""
        function = self._runner.catalogue.find(self._mine(caller, self._find(workflow_id)).name)
        self._runner.check(caller, function)
        async with self._runner.room(caller):
            run = self._find(workflow_id)
            if run.state not in ("error", "cancelled"):
                raise Refused(f"run {run.id} is {run.state}; only one that failed or was cancelled is tried again")
            fresh = {"state": "running", "attempt": run.attempt + 1, "error": "", "ended": "", "step": ""}
            now = {"version": version_of(function), "source": self._runner.catalogue.source(function)}
            await self._store.append(self._store.draft("retried", run.id, questions={}, **fresh, **now))
        self._runner.go(self._store.find(run.id))
        return Begun(run.id, run.id, run.name, caller.name, "running")

    @verb("workflow answer", for_={"person", "program"}, positional=("workflow_id", "text"))
    async def answer(
        self,
        caller: Caller,
        workflow_id: RunId,
        text: Annotated[str, Field(description="the answer")],
        step: Annotated[str, Field(description="step that asks, when several do; `workflow show` lists them")] = "",
    ) -> str:
        """Answer a question that a run asks."""
        _check_person(caller)
        question = await self._questions.give(self._find(workflow_id), text, step)
        return f"answered {text!r} to: {question}"

    @verb("workflow decide", for_={"person", "program"})
    async def decide(
        self,
        caller: Caller,
        workflow_id: RunId,
        decision: Annotated[
            Literal["rerun", "skip", "fail"], Field(description="do the step again, go on without it, or fail the run")
        ],
    ) -> Begun:
        """Decide how a run goes on that was in the middle of a step when aegis stopped."""
        _check_person(caller)
        run = self._find(workflow_id)
        if run.state != "needs attention":
            raise Refused(f"run {run.id} is {run.state}; there is nothing to decide")
        if decision == "fail" and not run.step:
            await self._runner.fail(run, f"{caller} decided that it failed: {run.error}")
            return Begun(run.id, run.id, run.name, caller.name, "error")
        data = {"at_step": run.step, "decision": decision, "state": "running", "step": "", "error": ""}
        await self._store.append(self._store.draft("decided", run.id, **data))
        self._runner.go(self._store.find(run.id))
        return Begun(run.id, run.id, run.name, caller.name, "running")

    def _names(self) -> list[str]:
        try:
            return self._runner.catalogue.names()
        except ConfigError:
            return []

    def _find(self, run_id: str) -> Run:
        try:
            return self._store.find(run_id)
        except NotFound:
            found = [run for run in self._store.newest(200) if run_id and run.id.lower().endswith(run_id.lower())]
            if len(found) != 1:
                raise
            return found[0]

    async def _seen(self, caller: Caller, run: Run) -> Run:
        if not await sees(self._kernel, caller, _owners(run)):
            raise Refused(blind(f"the run {run.id}"))
        return run

    def _mine(self, caller: Caller, run: Run) -> Run:
        if for_agent(caller) and not (caller.agent_id and run.address == caller.agent_id):
            raise Refused(f"{caller} may do this with runs it began; {run.id} is {run.by}'s. Ask a person.")
        return run


def _owners(run: Run) -> tuple[str, ...]:
    return run.acting.agent_id, run.address, run.acting.principal


def _check_person(caller: Caller) -> None:
    if for_agent(caller):
        raise Refused(f"a run asks people, and {caller} acts for {caller.principal}")


def _row(run: Run) -> RunRow:
    open_ = {place: q for place, q in run.questions.items() if "answer" not in q and not run.over}
    asks, options = {at: asked_in(q) for at, q in open_.items()}, {at: list(q["options"]) for at, q in open_.items()}
    host = run.by.partition(":")[2]
    return RunRow(
        run.id,
        run.name,
        run.state,
        run.by,
        host,
        run.started,
        run.ended,
        run.attempt,
        run.result,
        run.error,
        asks,
        {at: those for at, those in options.items() if those},
    )


def _ended(run: Run) -> Ended:
    return Ended(**msgspec.structs.asdict(_row(run)))


def _if_ok(run: Run) -> Ended:
    """Return the run that has ended well; raises `WorkflowError` with what to do about one that has not."""
    if run.state == "ok":
        return _ended(run)
    what = {
        "needs attention": f"needs attention: {run.error}; `aegis workflow decide {run.id} rerun|skip|fail` decides",
        "error": f"failed: {run.error}; `aegis workflow logs {run.id}` shows its steps, `workflow retry` tries again",
    }
    words = what.get(run.state, f"was {run.state}: {run.error}")
    raise WorkflowError(f"run {run.id} of {run.name} {words}", workflow_id=run.id, status=run.state)
