"""The verbs that ask a group and wait for its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import trio
from pydantic import Field

from aegis import AegisError, Answer, Caller, Completes, Envelope, Kernel, NotFound, Refused, report, verb
from aegis.agent import Agent
from aegis.clock import new_id, stamp
from aegis.errors import listed, nearest
from aegis_group.collector import Collector, deadline_in
from aegis_group.cost_estimate import expected_cost
from aegis_group.group_verbs import GroupName
from aegis_group.judge import judged
from aegis_group.membership import Membership, is_agents
from aegis_group.quorum import Ready, first, never, quorum
from aegis_group.settings import GroupSettings
from aegis_group.store import Store
from aegis_group.values import Broadcast, Group, Reply, body

BroadcastId = Annotated[str, Field(description="which broadcast; your newest one when not given")]
_YEAR = 366 * 86_400  # beyond it nothing has a date
Ends = Annotated[float | None, Field(gt=0, le=_YEAR, description="seconds until the broadcast ends by itself")]
Seconds = Annotated[
    float | None, Field(gt=0, le=_YEAR, description="seconds after which the broadcast ends for everybody")
]
Interrupt = Annotated[bool, Field(description="interrupt the turns of the others, instead of telling them by mail")]
ReducerName = Annotated[
    str, Completes("reducer"), Field(description="how the answers become one value: a reducer, or `judge:PROFILE`")
]
_OUTCOME = {"done": "completed", "silent": "completed", "errored": "failed", "canceled": "cancelled"}


class Asked(msgspec.Struct, frozen=True):
    """A broadcast that is on disk; the expected cost is the average cost of its members' turns, as far as known."""

    broadcast_id: str
    group: str
    members: tuple[str, ...]
    deadline: str
    expected_cost_usd: float | None

    def __str__(self) -> str:
        cost = "" if self.expected_cost_usd is None else f"; their answers may cost about ${self.expected_cost_usd:.2f}"
        who = ", ".join(self.members)
        return f"broadcast {self.broadcast_id} asks {who} of {self.group}, until {self.deadline} at the latest{cost}"


class Result(msgspec.Struct, frozen=True):
    """How a broadcast ended; `reduced` (also as `combined`) is the answers as one value."""

    broadcast_id: str
    ended: str
    winner: str
    by_member: dict[str, Reply]
    order: list[str]
    reduced: Any
    combined: Any
    errors: dict[str, str]
    timeouts: list[str]
    metadata: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """How a shell ends that waited for it: 124 after the deadline, 1 after a veto or when an answer is missing."""
        if self.ended == "deadline":
            return 124
        if self.ended in ("any", "quorum"):
            return 0
        return int(self.ended == "veto" or bool(self.errors) or not self.order)

    def __str__(self) -> str:
        lines = [f"{r.label} ({r.handle}): {r.status}" + (f", {r.reason}" if r.reason else "") for r in
                 self.by_member.values()]  # fmt: skip
        text = self.reduced if isinstance(self.reduced, str) else msgspec.json.encode(self.reduced).decode()
        return "\n".join([f"broadcast {self.broadcast_id} ended: {self.ended}", *lines, "", text])


class NoQuorum(Result, frozen=True):
    """A broadcast that ended without the answers that a wait needed."""

    @property
    def exit_code(self) -> int:
        """How a shell ends that waited for it."""
        return 124 if self.ended == "deadline" else 1


class BroadcastVerbs:
    """Ask a group, wait for its answers."""

    name = "broadcasts"

    def __init__(
        self, kernel: Kernel, store: Store, collector: Collector, membership: Membership, settings: Mapping[str, Any]
    ) -> None:
        self._kernel, self._store, self._collector = kernel, store, collector
        self._membership, self._settings = membership, settings
        kernel.verbs.complete_with("reducer", lambda: sorted(kernel.reducers))

    @property
    def _now(self) -> GroupSettings:
        section: GroupSettings = self._settings["groups"]  # as it is now: people change it while aegis runs
        return section

    @verb("group broadcast", tool="aegis_group_broadcast", positional=("group", "objective"))
    async def broadcast(
        self,
        caller: Caller,
        group: GroupName,
        objective: Annotated[str, Field(description="the question, or what is to be done")],
        output_format: Annotated[str, Field(description="what the answer should look like")] = "",
        tool_guidance: Annotated[str, Field(description="which tools to use, and how")] = "",
        boundaries: Annotated[str, Field(description="what not to do")] = "",
        timeout: Ends = None,  # noqa: ASYNC109
        callback: Annotated[bool, Field(description="get the answers by mail, instead of waiting for them")] = False,
        key: Annotated[str, Field(description="idempotency key: the same key asks only once")] = "",
    ) -> Asked:
        """Ask every member of a group the same question.

        When this returns, the question is on disk and in every member's mailbox.

        For agents:
        Get the answers with group wait-all, wait-any or wait-quorum. For a long question pass `callback` and end your
        turn: the answers wake you.
        """
        if not objective.strip():
            raise Refused("the objective is empty; say what you want to know or have done")
        found = self._membership.own(caller, self._store.group(group))
        fields = {
            "objective": objective, "output_format": output_format, "tool_guidance": tool_guidance,
            "boundaries": boundaries,
        }  # fmt: skip
        if key and self._store.known(key):
            there = self._store.broadcast(key)
            return Asked(key, there.name, tuple(there.replies), there.deadline, None)
        preset = self._now.presets.get(found.preset)
        seconds = timeout or (preset.timeout if preset else None) or self._now.defaults.broadcast_timeout
        made = key or new_id()
        letters = self._letters(caller, found, made, body(fields))
        replies = {label: Reply(label, to.id, to.handle, letter.id) for label, (to, letter) in letters.items()}
        asked = Broadcast(
            made, found.id, group, caller.agent_id or str(caller), fields, stamp(self._kernel.clock.now()),
            deadline_in(self._kernel, seconds), replies,
            callback=callback and self._reads(caller), trace=caller.trace, hops=caller.hops,
        )  # fmt: skip
        cost = await expected_cost(self._kernel, [reply.agent for reply in replies.values()])
        report(f"asking {len(letters)} members" + ("" if cost is None else f", about ${cost:.2f}"))
        await self._store.append(
            self._store.draft("broadcast_started", made, **msgspec.to_builtins(asked)),
            *(self._kernel.post.accept(letter) for _, letter in letters.values()),
        )
        if callback and (asker := self._kernel.roster.get(caller.agent_id)):
            asker.expect(f"broadcast {made}", f"the answers of {group}")
        self._collector.begin(asked)
        return Asked(made, group, tuple(replies), asked.deadline, cost)

    def _reads(self, caller: Caller) -> bool:
        """Return whether the caller can be called back: a program that nobody carries mail to reads none."""
        return bool(caller.agent_id) or caller.class_ == "person" or caller.kind in self._kernel.post.carriers

    def _letters(self, caller: Caller, group: Group, made: str, text: str) -> dict[str, tuple[Agent, Envelope]]:
        """Return the letter to each member but the caller, by label; raises `Refused` when there is nobody to ask."""
        trace = {"trace": caller.trace} if caller.trace else {}
        sender, hops = f"group:{group.name}/broadcast:{made}", caller.hops + is_agents(caller)
        letters = {
            label: (agent, self._kernel.post.envelope(sender, agent.id, text, hops=hops, **trace))
            for label, member in sorted(group.members.items())
            if member.agent != caller.agent_id and (agent := self._kernel.roster.get(member.agent))
        }
        if not letters:
            raise Refused(f"{group.name} has no member to ask" + (" but you" if group.members else ""))
        return letters

    # -- waiting ------------------------------------------------------------------------------------------------

    @verb("group wait-all", tool="aegis_group_wait_all")
    async def wait_all(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
    ) -> Result:  # fmt: skip
        """Wait for the answers of all members and return them as one value; who did not answer in time is marked."""
        return await self._wait(caller, group, broadcast_id, reducer, timeout, never)

    @verb("group wait-any", tool="aegis_group_wait_any")
    async def wait_any(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
        cancel_losers: Annotated[bool, Field(description="cancel the others; else they go on")] = True,
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Return the first answer and cancel the rest.

        A member that had begun is told to stop; a member that had not begun never sees the question.
        """
        losers = "interrupt" if interrupt else "cancel" if cancel_losers else ""
        return await self._wait(caller, group, broadcast_id, reducer, timeout, first, losers)

    @verb("group wait-quorum", tool="aegis_group_wait_quorum")
    async def wait_quorum(
        self, caller: Caller, group: GroupName,
        count: Annotated[int, Field(ge=1, description="how many answers are enough")],
        same: Annotated[bool, Field(description="count only answers with the same text")] = False,
        veto: Annotated[str, Field(description="regular expression (RE2); an answer that matches ends the wait")] = "",
        broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Wait for enough answers, or for one that is a veto, and cancel the rest."""
        enough = quorum(count, veto, same=same)
        if count > (asked := len(self._which(caller, group, broadcast_id).replies)):
            raise Refused(f"{count} answers cannot come from {asked} members; say {asked} or fewer")
        losers = "interrupt" if interrupt else "cancel"
        result = await self._wait(caller, group, broadcast_id, reducer, timeout, enough, losers)
        return result if result.ended == "quorum" else NoQuorum(**msgspec.structs.asdict(result))

    async def _wait(
        self, caller: Caller, group: str, broadcast_id: str, reducer: str, seconds: float | None, ready: Ready,
        losers: str = "",
    ) -> Result:  # fmt: skip
        """Wait until the broadcast is over or `ready` says how it ends, and return the result."""
        broadcast = self._which(caller, group, broadcast_id)
        if seconds or ready is not never:
            self._check_ends(caller, broadcast)
        fold = self._reducer(reducer, broadcast)
        with trio.move_on_after(seconds or float("inf")) as limit:
            said = -1
            while True:
                change, broadcast = self._collector.change, self._store.broadcast(broadcast.id)
                if broadcast.over or (await ready(broadcast))[0]:
                    break
                if len(broadcast.arrived) != said:
                    said = len(broadcast.arrived)
                    report(f"{said} of {len(broadcast.replies)} members answered")
                await change.wait()
        how, winner = await ready(broadcast)  # also of one that was over before anybody waited
        if limit.cancelled_caught or not broadcast.over:
            broadcast = await self._collector.end(broadcast, how or "deadline", winner, losers=losers)
        return await self._result(caller, broadcast, fold, how or broadcast.over, winner or broadcast.winner)

    def _check_ends(self, caller: Caller, broadcast: Broadcast) -> None:
        """Raise `Refused` when an agent would end for everybody what it did not ask, in a group it did not make."""
        its = self._store.groups.get(broadcast.group)
        if is_agents(caller) and not broadcast.over and caller.agent_id not in {broadcast.by, its and its.by}:
            asker = self._kernel.roster.label(broadcast.by)
            raise Refused(
                f"{caller} did not ask {broadcast.id}, so it may not end it for everybody: wait for all, without a "
                f"timeout, or ask {asker}"
            )

    def _which(self, caller: Caller, group: str, broadcast_id: str) -> Broadcast:
        if broadcast_id:
            return self._named(caller, group, self._store.broadcast(broadcast_id))
        found = self._membership.own(caller, self._store.group(group))
        newest = self._store.newest_of(found, caller.agent_id or str(caller))
        if not newest:
            raise NotFound(f"{group} has not been asked anything yet; ask with `group broadcast`")
        return self._store.broadcast(newest)

    def _named(self, caller: Caller, group: str, broadcast: Broadcast) -> Broadcast:
        """Return the broadcast, which outlives its group, if the caller may see it; raises `Refused`."""
        other = next((g for g in self._store.groups.values() if g.name == group and g.id != broadcast.group), None)
        if other and group != broadcast.name:
            raise Refused(f"{broadcast.id} asked the group {broadcast.name}, not {group}")
        its, agents = self._store.groups.get(broadcast.group), {r.agent for r in broadcast.replies.values()}
        if its and caller.agent_id not in {broadcast.by, *agents}:
            self._membership.own(caller, its)
        elif is_agents(caller) and caller.agent_id not in {broadcast.by, *agents}:
            raise Refused(f"{caller} neither asked {broadcast.id} nor was asked. Ask a person.")
        return broadcast

    def _reducer(self, name: str, broadcast: Broadcast) -> str:
        group = self._store.groups.get(broadcast.group)
        preset = self._now.presets.get(group.preset) if group else None
        name = name or (preset.reducer if preset else "") or self._now.defaults.default_reducer
        if name.startswith("judge:"):
            self._kernel.config.profile(name.removeprefix("judge:"))
        elif name not in self._kernel.reducers:
            known = [*self._kernel.reducers, "judge:PROFILE"]
            raise NotFound(f"there is no reducer {name!r} (there are: {listed(known)}).{nearest(name, known)}")
        return name

    async def _result(self, caller: Caller, b: Broadcast, fold: str, ended: str, winner: str) -> Result:
        answers = [_answer(reply) for reply in b.arrived if reply.order]
        metadata: dict[str, Any] = {"reducer": fold}
        if fold.startswith("judge:"):
            value, more = await judged(self._kernel, self._store, caller, fold.removeprefix("judge:"), b, answers)
        else:
            value, more = self._folded(fold, answers)
        metadata |= more
        costs = [r.cost_usd for r in b.replies.values()]
        known = [cost for cost in costs if cost is not None]
        metadata |= {"cost_usd": sum(known) if len(known) == len(costs) else None} if costs else {}
        errors = {r.label: r.reason or r.status for r in b.arrived if r.status in ("errored", "lost")}
        late = [r.label for r in b.arrived if r.status == "timeout"]
        order = [r.label for r in b.arrived if r.order]
        return Result(b.id, ended, winner, dict(b.replies), order, value, value, errors, late, metadata)

    def _folded(self, fold: str, answers: list[Answer]) -> tuple[Any, dict[str, Any]]:
        reducer: Any = self._kernel.reducers[fold]
        try:
            return reducer.fold(answers), dict(reducer.details(answers)) if hasattr(reducer, "details") else {}
        except Exception as error:  # a plugin's code may raise anything; the answers are kept
            raise AegisError(f"the reducer {fold!r} failed: {error!r}; wait again with another one") from error


def _answer(reply: Reply) -> Answer:
    outcome = _OUTCOME.get(reply.status, "failed")
    return Answer(reply.label, reply.text, outcome, reply.reason, reply.turn_ms / 1000, reply.cost_usd)
