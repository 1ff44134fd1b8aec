"""What a workflow holds: agents, queues, shells, people, time; every call is a step that is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import trio

from aegis import Caller, Kernel, NotFound, Refused
from aegis.agent import Agent
from aegis.clock import new_id, stamp
from aegis.events import TurnEnded
from aegis.ledger import Draft
from aegis_workflow.agent_acts import AgentActs, for_agent
from aegis_workflow.answer import answer
from aegis_workflow.compound_calls import CompoundCalls
from aegis_workflow.errors import BudgetExceeded, NeedsAttention, WorkflowError
from aegis_workflow.group_calls import GroupCalls
from aegis_workflow.human_questions import HumanQuestions
from aegis_workflow.results import as_json
from aegis_workflow.shell_calls import ShellCalls
from aegis_workflow.steps import Steps, brief
from aegis_workflow.store import Run

BY = "workflow:"  # what the roster has as the origin of an agent that a run spawned, before the run's id
_DRAIN = 30.0


class WorkflowEngine(GroupCalls, ShellCalls, CompoundCalls):
    """One run's means. What is missing here raises; nothing degrades to an empty answer."""

    def __init__(
        self,
        kernel: Kernel,
        steps: Steps,
        questions: HumanQuestions,
        acts: AgentActs,
        config: Mapping[str, Any],
        log: Callable[[str], None],
    ) -> None:
        self._kernel, self._steps, self._questions, self._acts, self._say = kernel, steps, questions, acts, log
        self.config = dict(config)
        self._touched: dict[str, None] = {}
        self._last = ""

    # -- who ----------------------------------------------------------------------------------------------------

    @property
    def _run(self) -> Run:
        return self._steps.run

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._run.name

    @property
    def workflow_id(self) -> str:
        """The run's id."""
        return self._run.id

    @property
    def host(self) -> str:
        """The handle of the agent that began the run, empty when a person did."""
        agent = self._kernel.roster.get(self._run.address)
        return agent.handle if agent else ""

    caller_handle = host

    @property
    def _caller(self) -> Caller:
        return self._run.acting

    async def _call(self, verb: str, **args: Any) -> Any:
        try:
            return await self._kernel.verbs.call(self._caller, verb, args)
        except Refused as refusal:
            if refusal.data.get("blocked_by"):
                raise BudgetExceeded(str(refusal), str(args.get("queue", "")), refusal.data) from None
            raise

    # -- agents -------------------------------------------------------------------------------------------------

    async def spawn(self, profile: str, *, handle: str | None = None, alias: str | None = None) -> str:
        """Return the handle of a new agent, which is closed when the run ends."""
        if handle and alias and handle != alias:
            raise WorkflowError(f"spawn: `handle` ({handle!r}) and `alias` ({alias!r}) are the same thing; say one")
        wanted = handle or alias or f"wf-{self._run.id[-4:].lower()}-{self._steps.peek().replace('.', 'x')}"

        async def spawn(_: Any = None) -> str:
            try:
                there = self._kernel.roster.find(wanted)
            except NotFound:
                there = None
            if there is None or there.by != BY + self._run.id:
                self._acts.check_call(self._caller, "spawn")
                there = await self._kernel.roster.spawn(profile, wanted, self._caller)
            return there.handle

        found: str = await self._steps.take("spawn", f"{profile} {wanted}", spawn, recover=spawn)
        return found

    async def send(self, handle: str, prompt: str, timeout: float | None = None, *, idempotent: bool = False) -> str:  # noqa: ASYNC109
        """Return the agent's whole reply to the prompt; raises `WorkflowError` when its turn did not complete.

        If the turn set something going that comes back to the agent (a task, a long call, background work), the reply
        is what it says after that. A turn that aegis cut off is begun again if the prompt says that it is `idempotent`;
        else a person decides.
        """
        self._last = handle
        self._touched[handle] = None
        letter = new_id()

        async def begin(draft: Draft) -> None:
            agent = self._addressee(handle)
            more = {"trace": self._run.trace} if self._run.trace else {}
            envelope = self._kernel.post.envelope(BY + self.name, agent.id, prompt, hops=self._run.hops, **more)
            await self._kernel.post.deliver(envelope, _with(draft, envelope=envelope.id))
            nonlocal letter
            letter = envelope.id

        async def reply(kept: Mapping[str, Any] | None = None) -> str:
            ended = await self._ended(handle, str(kept["envelope"]) if kept else letter, timeout)
            if ended.outcome == "interrupted" and kept:
                if not idempotent and kept["decision"] != "rerun":
                    raise NeedsAttention("", f"send to {handle}")
                await begin(kept["redo"])
                ended = await self._ended(handle, letter, timeout)
            if ended.outcome not in ("completed", "truncated"):
                raise WorkflowError(f"{handle}'s turn {ended.outcome}" + (f": {ended.reason}" if ended.reason else ""))
            return ended.reply

        what = f"{handle} {brief(prompt)}"
        said: str = await self._steps.take("send", what, reply, begin=begin, recover=reply, skipped="")
        return said

    ask = send

    def _addressee(self, handle: str) -> Agent:
        """Return the agent; raises `Refused` when the run acts for one that may not write to it by itself."""
        agent = self._agent(handle)
        if agent.by != BY + self._run.id and agent.id != self._caller.agent_id:
            self._acts.check_call(self._caller, "handoff")
        return agent

    async def _ended(self, handle: str, letter: str, seconds: float | None) -> TurnEnded:
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            return await answer(self._kernel, letter)
        if self._is_ours(agent := self._agent(handle)):
            await agent.interrupt()
        raise WorkflowError(f"{handle} did not answer within {seconds or 0:g} s")

    async def tell(self, handle: str, message: str) -> None:
        """Hand the agent a message and go on; `drain` waits until it has read it."""
        self._last, self._touched[handle] = handle, None

        def letter() -> list[Draft]:
            post = self._kernel.post
            return [
                post.accept(post.envelope(BY + self.name, self._addressee(handle).id, message, hops=self._run.hops))
            ]

        await self._steps.note("tell", f"{handle} {brief(message)}", together=letter)

    async def drain(self, handle: str | None = None, timeout: float = _DRAIN) -> None:  # noqa: ASYNC109
        """Wait until the agent, or every one that was spoken to, has read its mail and is idle; says who did not."""
        for one in [handle] if handle else list(self._touched):
            with trio.move_on_after(timeout) as limit:
                while (agent := self._alive(one)) and (waiting := self._kernel.post.letters(agent.id)):
                    await self._kernel.post.wait_turn(waiting[-1].envelope.id)
            if limit.cancelled_caught:
                self._say(f"{one} has not read its mail within {timeout:g} s")

    async def close(self, handle: str) -> None:
        """End an agent; nothing happens when it is gone."""

        async def close(_: Any = None) -> None:
            if agent := self._alive(handle):
                self._check_mine(agent)
                await self._kernel.roster.close(agent, f"closed by the workflow {self.name}")

        await self._steps.take("close", handle, close, recover=close)

    def _is_ours(self, agent: Agent) -> bool:
        """Return whether the run may end the agent or its turn: a person's any, an agent's what these two spawned."""
        caller = self._caller
        started = caller.agent_id and caller.agent_id in (agent.id, agent.started_by.agent_id)
        return bool(started) or not for_agent(caller) or agent.by == BY + self._run.id

    def _check_mine(self, agent: Agent) -> None:
        if not self._is_ours(agent):
            whose = f"the run and {self._caller.principal} did not spawn {agent.handle}"
            raise Refused(f"{whose}, so the workflow {self.name} may not close it")

    def list_sessions(self) -> list[dict[str, Any]]:
        """Return the agents that are alive."""
        self._acts.check_call(self._caller, "sessions")
        return self._kernel.roster.snapshot()

    def list_agents(self) -> list[str]:
        """Return the profiles that can be spawned."""
        self._acts.check_call(self._caller, "agents")
        return self._kernel.config.names()

    def _agent(self, handle: str) -> Agent:
        return self._kernel.roster.find(handle)

    def _place(self) -> str:
        return self._steps.peek()

    def _alive(self, handle: str) -> Agent | None:
        try:
            return self._kernel.roster.find(handle)
        except NotFound:
            return None

    # -- queues -------------------------------------------------------------------------------------------------

    async def enqueue(self, queue: str, payload: str, callback: bool = False, **more: Any) -> str:
        """Return the id of a task handed to a queue; taken once, however often the run is played."""
        key = f"{self._run.id}.{self._run.attempt}.{self._steps.peek()}"

        async def put(_: Any = None) -> str:
            args = {"queue": queue, "payload": payload, "callback": callback, "key": key, **more}
            return str((await self._call("enqueue", **args)).task_id)

        task: str = await self._steps.take("enqueue", f"{queue} {brief(payload)}", put, recover=put)
        return task

    async def delegate(self, queue: str, payload: str, **more: Any) -> str:
        """Return the result of a task done by a worker of the queue; raises `WorkflowError` when it has none."""
        task = await self.enqueue(queue, payload, **more)

        async def wait(_: Any = None) -> str:
            return str(await self._call("task wait", task_id=task))

        result: str = await self._steps.take("delegate", f"{queue} {task}", wait, recover=wait)
        return result

    # -- the rest of the world ----------------------------------------------------------------------------------

    async def ask_human(
        self, question: str, *, options: Sequence[str] | None = None, timeout: float | None = None,  # noqa: ASYNC109
        default: str | None = None,
    ) -> str:  # fmt: skip
        """Return what a person answers, here or on any surface; after `timeout` the default, or a `WorkflowError`."""
        asked, place = {"question": question, "options": list(options or ()), "default": default}, self._steps.peek()

        async def wait(kept: Mapping[str, Any] | None = None) -> str:
            return await self._questions.ask(self._run, place, asked, timeout, kept)

        said: str = await self._steps.take(
            "ask_human", brief(question), wait, recover=wait, asked_at=stamp(self._kernel.clock.now())
        )
        return said

    async def sleep(self, seconds: float) -> None:
        """Wait; a restart does not start the time again."""
        until = stamp(self._kernel.clock.now() + timedelta(seconds=seconds))

        async def wait(kept: Mapping[str, Any] | None = None) -> None:
            due = datetime.fromisoformat(str((kept or {}).get("until", until)))
            left = (due - self._kernel.clock.now()).total_seconds()
            await trio.sleep(min(max(0.0, left), seconds))  # no longer, however the clock was set meanwhile

        await self._steps.take("sleep", f"{seconds:g}", wait, recover=wait, until=until)

    async def now(self) -> str:
        """Return the time, the same whenever the run is played."""
        return str(await self._steps.note("now", "", stamp(self._kernel.clock.now())))

    # -- keeping ------------------------------------------------------------------------------------------------

    async def checkpoint(self, name: str, payload: Any) -> None:
        """Keep a value for a later attempt; raises `TypeError` for one that is no JSON."""
        await self._steps.note("checkpoint", name, as_json(payload, f"checkpoint {name!r}"))

    async def resume_state(self) -> Any:
        """Return the last checkpoint of an earlier attempt (`workflow retry`), None in the first."""
        return await self._steps.note("resume_state", "", self._steps.checkpoint)

    async def parallel(self, works: Sequence[Awaitable[Any]]) -> list[Any]:
        """Return the results of calls that run side by side, in their order."""
        return await self._steps.parallel(works)

    def log(self, message: str) -> None:
        """Say something to those who follow the run; what was said before a restart is not said again."""
        if not self._steps.replaying:
            self._say(message)


def _with(draft: Draft, **data: Any) -> Draft:
    return Draft(draft.book, draft.kind, draft.key, {**draft.data, **data})
