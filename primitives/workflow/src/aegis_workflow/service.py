"""Runs: begun, played again after a restart, ended exactly once, with whatever they spawned gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from aegis import AegisError, Caller, Kernel, Refused, report
from aegis.clock import stamp
from aegis.events import Notice
from aegis.ledger import Record
from aegis.supervise import root_cause
from aegis_workflow.agent_acts import AgentActs
from aegis_workflow.catalogue import Catalogue, Function, close_catalogue, key_of, name_of, open_catalogue, version_of
from aegis_workflow.engine import BY, WorkflowEngine
from aegis_workflow.errors import NeedsAttention, ProjectCodeFailed, Unfinished, WorkflowError
from aegis_workflow.human_questions import HumanQuestions
from aegis_workflow.project_files import ProjectFiles, ProjectWorkflow
from aegis_workflow.project_run import ProjectRun
from aegis_workflow.results import result_of
from aegis_workflow.settings import WorkflowSettings
from aegis_workflow.steps import Steps
from aegis_workflow.store import OVER, Run, RunStore
from aegis_workflow.tracebacks import author_traceback

_TOLD = 4_000  # characters of a result in the mail that tells of it


class Runner:
    """Every run that is under way."""

    def __init__(
        self,
        kernel: Kernel,
        store: RunStore,
        questions: HumanQuestions,
        catalogue: Catalogue,
        settings: Callable[[], WorkflowSettings],
        files: ProjectFiles,
    ) -> None:
        """`settings` returns what the section `workflows` says now."""
        self._kernel, self._store, self._questions = kernel, store, questions
        self.catalogue, self._settings_now, self._files = catalogue, settings, files
        self.acts = AgentActs(kernel, lambda: settings().allow)
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[str, trio.CancelScope] = {}  # of the runs that are played
        self._stopped: dict[str, str] = {}
        self._beginning = trio.Lock()
        self._again: set[str] = set()  # runs that were taken up again before their last play was over

    async def run(self) -> None:
        """Go on with every run that was under way, until cancelled."""
        self._scopes.clear()
        self._again.clear()
        open_catalogue(self.catalogue)
        self._check_names()
        try:
            await self._go_on()
        finally:
            close_catalogue(self.catalogue)

    async def _go_on(self) -> None:
        async with trio.open_nursery() as self._nursery:
            # From here on `go` begins what comes: what is under way now was so when aegis stopped, or waits for us.
            going = [run for run in self._store.active.values() if run.state == "running"]
            if going:  # processes of theirs that outlived a killed kernel
                await self._kernel.roster.leftovers.end({run.mark() for run in going})
            for run in going:
                await self._store.append(self._store.draft("resumed", run.id))
                self.go(run)
            await self._close_leftovers()
            await trio.sleep_forever()

    def _check_names(self) -> None:
        """Say which settings are nobody's, and which file of the project cannot be read."""
        try:
            settings = self._settings_now()
            wrong = [
                f"workflows.{key}.{name}: no workflow is called so"
                for key, names in (("config", settings.config), ("allow", settings.allow))
                for name in names
                if not self.catalogue.get(name)
            ]
        except AegisError as error:
            wrong = [str(error)]
        for text in wrong:
            self._kernel.bus.publish("", Notice(text, "warning", "workflow"))

    async def _close_leftovers(self) -> None:
        """Close agents of runs that have ended: aegis died between the end and the closing."""
        for agent in list(self._kernel.roster):
            if agent.by.startswith(BY) and agent.by.removeprefix(BY) not in self._store.active:
                await self._kernel.roster.close(agent, "its workflow is over")

    def go(self, run: Run) -> None:
        """Play the run from its record, and on."""
        if run.id in self._scopes:
            self._again.add(run.id)
        elif self._nursery:
            self._scopes[run.id] = trio.CancelScope()
            if run.callback and (asker := self._kernel.roster.get(run.address)):
                asker.expect(f"run {run.id}", f"the end of the workflow {run.name}")
            self._nursery.start_soon(self._play, run, self._scopes[run.id])

    async def begin(self, run: Run) -> None:
        """Have the run on disk, and go."""
        await self._store.append(self._store.draft("started", run.id, **msgspec.to_builtins(run)))
        self.go(run)

    async def _play(self, run: Run, scope: trio.CancelScope) -> None:
        try:
            outcome = {"state": "cancelled"}
            with scope:
                outcome = await self._outcome(run)
            if scope.cancelled_caught:
                outcome = {"state": "cancelled", "error": self._stopped.pop(run.id, "")}
            if outcome["state"] == "needs attention":
                await self._park(run, outcome)
            else:
                await self._end(run, outcome)
        finally:
            if self._scopes.get(run.id) is scope:
                del self._scopes[run.id]
            self._stopped.pop(run.id, None)
        self._store.wake_followers()
        if run.id in self._again:
            self._again.discard(run.id)
            if (now := self._store.find(run.id)).state == "running":
                self.go(now)

    async def _outcome(self, run: Run) -> dict[str, Any]:
        try:
            function = self.catalogue.get(run.name, run.source)
            why = f"there is no workflow {run.name!r} here any more" + (f" in {run.source}" if run.source else "")
            self._check_trusted(function)
            if function is not None:
                self._kernel.trust.require(self._settings(function, run))
        except AegisError as error:
            function, why = None, str(error)
        if function is None:
            why = f"{why}; when it is back, `rerun` goes on"
            return {"state": "needs attention", "step": "", "error": why}
        steps = Steps(self._kernel, self._store, run, self._settings_now().steps)
        if steps.known and run.version and version_of(function) != run.version:
            self._say(run, "its code has changed since it began; it goes on as long as its steps are the recorded ones")
        config = self._settings(function, run)
        engine = WorkflowEngine(
            self._kernel, steps, self._questions, self.acts, config, lambda text: self._say(run, text)
        )
        with steps.branch():
            outcome = await self._called(function, engine, steps, run)
        if outcome["state"] == "ok":
            await engine.drain()
        return outcome

    async def _park(self, run: Run, outcome: Mapping[str, Any]) -> None:
        """Have the run wait for a person's word, and tell the one who began it."""
        words = f"it needs attention: {outcome['error']}\n`aegis workflow decide {run.id} rerun|skip|fail` decides."
        parked, post = self._store.draft("parked", run.id, **outcome), self._kernel.post
        told = []
        if run.address.startswith("human:"):
            letter = post.envelope(BY + run.name, run.address, words, task_id=run.id, hops=run.hops)
            told = [post.accept(letter, short=f"it needs attention: aegis workflow show {run.id}")]
        self._kernel.bus.publish("", Notice(f"{run.name}: {words}", "warning", BY + run.name))
        await self._store.append(parked, *told)

    def _settings(self, function: Function, run: Run) -> dict[str, Any]:
        own = {key_of(name): settings for name, settings in self._settings_now().config.items()}
        return {**getattr(function, "workflow_config", {}), **own.get(key_of(run.name), {})}

    async def _called(self, function: Function, engine: WorkflowEngine, steps: Steps, run: Run) -> dict[str, Any]:
        try:
            try:
                value = await self._value(function, engine, steps, run)
                steps.finish()
            finally:
                if steps.stopped:  # whatever the workflow's code made of it
                    raise steps.stopped
            return {"state": "ok", "result": result_of(run.name, value)}
        except NeedsAttention as error:
            return {"state": "needs attention", "step": error.step, "error": str(error)}
        except AegisError as error:
            trace = error.traceback if isinstance(error, ProjectCodeFailed) else author_traceback(error)
            return {"state": "error", "error": str(error), "traceback": trace}
        except (Exception, BaseExceptionGroup) as error:  # a workflow is anybody's code: its crash is the run's end
            if isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[0]:
                raise
            cause = root_cause(error)
            said = f"unexpected: {type(cause).__name__}: {cause}"
            return {"state": "error", "error": said, "traceback": author_traceback(cause)}

    async def _value(self, function: Function, engine: WorkflowEngine, steps: Steps, run: Run) -> Any:
        if not isinstance(function, ProjectWorkflow):
            return await function(engine, **run.args)
        play = ProjectRun(self._kernel, self.catalogue, function, engine, steps)
        return await play.play(self._check_trusted, self.acts.environment(run.acting), self._settings_now().memory)

    def check(self, caller: Caller, function: Function) -> None:
        """Raise `Refused` when the caller may not run this workflow, or nobody may."""
        self.acts.check_run(caller, name_of(function), function)
        self._check_trusted(function)

    @asynccontextmanager
    async def room(self, caller: Caller) -> AsyncIterator[None]:
        """Enter to begin a run; raises `Refused` when the caller is an agent's, which has as many as it may."""
        if not caller.agent_id:
            yield
            return
        async with self._beginning:  # two at once see each other
            self._check_room(caller)
            yield

    def _check_room(self, caller: Caller) -> None:
        most = self._settings_now().runs_per_agent
        own = [run for run in self._store.active.values() if run.acting.agent_id == caller.agent_id]
        if len(own) >= most:
            raise Refused(
                f"{caller.principal} has {len(own)} runs under way, and an agent may have {most} "
                "(`workflows.runs_per_agent` in .aegis.yaml); wait until one has ended, or cancel one"
            )

    def _check_trusted(self, function: Function | None) -> None:
        """Raise the error when it is of a file that is not as it was trusted."""
        if isinstance(function, ProjectWorkflow):
            self._files.check(function)

    async def _end(self, run: Run, outcome: dict[str, Any]) -> None:
        """Record the end together with the mail that tells of it; then nothing that the run spawned is left."""
        outcome = {**outcome, "ended": stamp(self._kernel.clock.now())}
        kind = {"ok": "finished", "error": "errored"}.get(outcome["state"], "cancelled")
        draft = self._store.draft(kind, run.id, **outcome)
        told = self._callback(run, outcome)
        try:
            short = f"The run {run.id} has ended ({outcome['state']}); there is no room here for its result: look at it"
            await (self._kernel.post.deliver(told, draft, short=short) if told else self._store.append(draft))
        except Refused:  # who began it takes no mail any more
            await self._store.append(draft)
        if asker := self._kernel.roster.get(run.address):
            asker.expect(f"run {run.id}", "")
        for agent in [a for a in self._kernel.roster if a.by == BY + run.id]:
            await self._kernel.roster.close(agent, f"the workflow {run.name} is over")

    def _callback(self, run: Run, outcome: Mapping[str, Any]) -> Any:
        if not (run.callback and run.address):
            return None
        result = outcome.get("result")
        words = result if isinstance(result, str) else msgspec.json.encode(result).decode()
        body = words[:_TOLD] if outcome["state"] == "ok" else f"{outcome['state']}: {outcome.get('error', '')}"
        more = {"trace": run.trace} if run.trace else {}
        return self._kernel.post.envelope(
            BY + run.name, run.address, body or "done", task_id=run.id, hops=run.hops + 1,
            status="ok" if outcome["state"] == "ok" else "error", **more,
        )  # fmt: skip

    def _say(self, run: Run, text: str) -> None:
        self._kernel.bus.publish(run.address if ":" not in run.address else "", Notice(text, "info", BY + run.name))
        if self._nursery:
            self._nursery.start_soon(self._store.append, self._store.draft("logged", run.id, text=text))

    # -- what people and agents want --------------------------------------------------------------------------------

    async def end_of(self, run_id: str) -> Run:
        """Wait until the run has ended or needs attention, and return it; its steps are reported as they are taken."""
        lines: list[str] = []
        followers = self._store.followers.setdefault(run_id, [])
        followers.append(lines)
        try:
            while True:
                run = self._store.find(run_id)
                for line in lines:
                    report(line)
                lines.clear()
                if run.state != "running":
                    return run
                await self._store.news.wait()
        finally:
            followers.remove(lines)
            if not followers:
                self._store.followers.pop(run_id, None)

    async def replay(self, run: Run, records: list[Record] | None = None) -> str:
        """Return whether the workflow, as it is now, takes the recorded steps (those of `records`); nothing is done."""
        function = self.catalogue.find(run.name)
        steps = Steps(self._kernel, self._store, run, self._settings_now().steps, dry=True, records=records)
        config = self._settings(function, run)
        engine = WorkflowEngine(self._kernel, steps, self._questions, self.acts, config, lambda text: None)
        with steps.branch():
            outcome = await self._called(function, engine, steps, run)
        played = f"run {run.id} of {run.name}: {steps.played} steps played, the same steps"
        if isinstance(steps.stopped, Unfinished):
            return f"{played} as far as it is recorded"
        if outcome["state"] == "error" and outcome["error"] != run.error:
            raise WorkflowError(f"run {run.id} would not go as it is recorded: {outcome['error']}")
        return played + (f"; it ends {outcome['state']}" if run.over and outcome["state"] != run.state else "")

    async def cancel(self, run: Run, why: str) -> Run:
        """End the run as cancelled, wherever it is."""
        if scope := self._scopes.get(run.id):
            self._stopped[run.id] = why
            scope.cancel()
            return await self.end_of(run.id)
        if run.state not in OVER:
            await self._end(run, {"state": "cancelled", "error": why})
        return self._store.find(run.id)

    async def fail(self, run: Run, why: str) -> None:
        """End a run that is not played as failed."""
        await self._end(run, {"state": "error", "error": why})
