"""The verbs that ask a group and wait for its answers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import trio
from pydantic import Field

from aegis import AegisError, Answer, Caller, Completes, Kernel, NotFound, Refused, report, verb
from aegis.clock import new_id, stamp
from aegis.errors import listed, nearest
from aegis_group.enough import Ready, first, quorum
from aegis_group.expected import expected
from aegis_group.judge import judged
from aegis_group.members import GroupName
from aegis_group.roll import Roll
from aegis_group.rounds import Rounds, due
from aegis_group.settings import GroupSettings
from aegis_group.shelf import Shelf
from aegis_group.values import Broadcast, Reply, body

BroadcastId = Annotated[str, Field(description="which broadcast; the group's newest when none is given")]
Seconds = Annotated[float | None, Field(gt=0, description="seconds after which the broadcast ends as it is")]
Interrupt = Annotated[bool, Field(description="stop the others' turns, instead of telling them to stop")]
ReducerName = Annotated[str, Completes("reducer"), Field(description="how the answers become one; `judge:PROFILE` too")]
_OUTCOME = {"done": "completed", "silent": "completed", "errored": "failed", "canceled": "cancelled"}


class Asked(msgspec.Struct, frozen=True):
    """A broadcast that is on disk; the cost is what its members' turns cost on the average, as far as that is known."""

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
    """What became of a broadcast; `reduced` (also as `combined`) is the answers as one value."""

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

    def __str__(self) -> str:
        lines = [f"{r.label} ({r.handle}): {r.status}" + (f", {r.reason}" if r.reason else "") for r in
                 self.by_member.values()]  # fmt: skip
        text = self.reduced if isinstance(self.reduced, str) else msgspec.json.encode(self.reduced).decode()
        return "\n".join([f"broadcast {self.broadcast_id} ended: {self.ended}", *lines, "", text])


class Broadcasts:
    """Questions to groups."""

    name = "broadcasts"

    def __init__(self, kernel: Kernel, shelf: Shelf, rounds: Rounds, roll: Roll, settings: GroupSettings) -> None:
        self._kernel, self._shelf, self._rounds = kernel, shelf, rounds
        self._roll, self._settings = roll, settings
        kernel.verbs.complete_with("reducer", lambda: sorted(kernel.reducers))

    async def run(self) -> None:
        """See every open broadcast to its end."""
        await self._roll.tidy()
        await self._rounds.run()

    @verb("group broadcast", tool="aegis_group_broadcast", positional=("group", "objective"))
    async def broadcast(
        self,
        caller: Caller,
        group: GroupName,
        objective: Annotated[str, Field(description="what is wanted")],
        output_format: Annotated[str, Field(description="what the answer looks like")] = "",
        tool_guidance: Annotated[str, Field(description="which tools to use, and how")] = "",
        boundaries: Annotated[str, Field(description="what not to do")] = "",
        timeout: Annotated[float | None, Field(gt=0, description="seconds until it ends by itself")] = None,  # noqa: ASYNC109
        callback: Annotated[bool, Field(description="be told by mail how it ended, instead of waiting")] = False,
        key: Annotated[str, Field(description="the same key asks once, however often it is said")] = "",
    ) -> Asked:
        """Ask every member of a group the same; it is on disk, and before each of them, when this returns.

        Wait for the answers with one of the group waits, or with `callback` end your turn and be woken by them.
        """
        if not objective.strip():
            raise Refused("the objective is empty; say what is wanted")
        found = self._roll.own(caller, self._shelf.group(group))
        fields = {
            "objective": objective, "output_format": output_format, "tool_guidance": tool_guidance,
            "boundaries": boundaries,
        }  # fmt: skip
        if key and self._shelf.known(key):
            there = self._shelf.broadcast(key)
            return Asked(key, there.name, tuple(there.replies), there.deadline, None)
        preset = self._settings.presets.get(found.preset)
        seconds = timeout or (preset.timeout if preset else None) or self._settings.defaults.broadcast_timeout
        made, post = key or new_id(), self._kernel.post
        trace = {"trace": caller.trace} if caller.trace else {}
        letters, replies = [], {}
        for label, member in sorted(found.members.items()):
            if member.agent == caller.agent_id or not (agent := self._kernel.roster.get(member.agent)):
                continue
            sender, hops = f"group:{group}/broadcast:{made}", caller.hops + (caller.class_ == "agent")
            letter = post.envelope(sender, agent.id, body(fields), hops=hops, **trace)
            letters.append(letter)
            replies[label] = Reply(label, agent.id, agent.handle, letter.id)
        if not letters:
            raise Refused(f"{group} has no member to ask" + (" but you" if found.members else ""))
        asked = Broadcast(
            made, found.id, group, caller.agent_id or str(caller), fields, stamp(self._kernel.clock.now()),
            due(self._kernel, seconds), replies, callback=callback, trace=caller.trace, hops=caller.hops,
        )  # fmt: skip
        cost = expected(self._kernel, [reply.agent for reply in replies.values()])
        report(f"asking {len(letters)} members" + ("" if cost is None else f", about ${cost:.2f}"))
        await self._shelf.store(
            self._shelf.draft("broadcast_started", made, **msgspec.to_builtins(asked)), *map(post.accept, letters)
        )
        if callback and (asker := self._kernel.roster.get(caller.agent_id)):
            asker.expect(f"broadcast {made}", f"the answers of {group}")
        self._rounds.begin(asked)
        return Asked(made, group, tuple(replies), asked.deadline, cost)

    # -- waiting ------------------------------------------------------------------------------------------------

    @verb("group wait-all", tool="aegis_group_wait_all")
    async def wait_all(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
    ) -> Result:  # fmt: skip
        """Return the answers of all members as one value, those that did not come in time marked."""
        return await self._wait(caller, group, broadcast_id, reducer, timeout, lambda b: ("", ""))

    @verb("group wait-any", tool="aegis_group_wait_any")
    async def wait_any(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
        cancel_losers: bool = True,
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Return the first answer; the others are told to stop, and need not begin if they had not."""
        losers = "interrupt" if interrupt else "cancel" if cancel_losers else ""
        return await self._wait(caller, group, broadcast_id, reducer, timeout, first, losers)

    @verb("group wait-quorum", tool="aegis_group_wait_quorum")
    async def wait_quorum(
        self, caller: Caller, group: GroupName, count: Annotated[int, Field(ge=1, description="how many answers")],
        same: Annotated[bool, Field(description="so many that say the same")] = False,
        veto: Annotated[str, Field(description="regular expression; an answer that has it ends the wait")] = "",
        broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Seconds = None,  # noqa: ASYNC109
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Return the answers once `count` of them are there, or one of them is a veto; the others are told to stop."""
        enough = quorum(count, veto, same=same)
        if count > (asked := len(self._which(caller, group, broadcast_id).replies)):
            raise Refused(f"{count} answers cannot come from {asked} members; say {asked} or fewer")
        losers = "interrupt" if interrupt else "cancel"
        return await self._wait(caller, group, broadcast_id, reducer, timeout, enough, losers)

    async def _wait(
        self, caller: Caller, group: str, broadcast_id: str, reducer: str, seconds: float | None, ready: Ready,
        losers: str = "",
    ) -> Result:  # fmt: skip
        """Wait until the broadcast is over or `ready` says how it ends, and return it."""
        broadcast = self._which(caller, group, broadcast_id)
        fold = self._reducer(reducer, broadcast)
        with trio.move_on_after(seconds or float("inf")) as limit:
            said = -1
            while not (broadcast := self._shelf.broadcast(broadcast.id)).over and not ready(broadcast)[0]:
                if len(broadcast.arrived) != said:
                    said = len(broadcast.arrived)
                    report(f"{said} of {len(broadcast.replies)} members answered")
                await self._rounds.moved()
        how, winner = ready(broadcast)  # also of one that was over before anybody waited
        if limit.cancelled_caught or not broadcast.over:
            broadcast = await self._rounds.end(broadcast, how or "deadline", winner, losers=losers)
        return await self._result(caller, broadcast, fold, how or broadcast.over, winner or broadcast.winner)

    def _which(self, caller: Caller, group: str, broadcast_id: str) -> Broadcast:
        if broadcast_id:
            return self._named(caller, group, self._shelf.broadcast(broadcast_id))
        found = self._roll.own(caller, self._shelf.group(group))
        newest = self._shelf.newest_of(found, caller.agent_id or str(caller))
        if not newest:
            raise NotFound(f"{group} has not been asked anything yet; `group broadcast` does that")
        return self._shelf.broadcast(newest)

    def _named(self, caller: Caller, group: str, broadcast: Broadcast) -> Broadcast:
        """Return the broadcast that was named, which outlives its group, if the caller may have it."""
        other = next((g for g in self._shelf.groups.values() if g.name == group and g.id != broadcast.group), None)
        if other and group != broadcast.name:
            raise Refused(f"{broadcast.id} was asked of {broadcast.name}, not of {group}")
        its, agents = self._shelf.groups.get(broadcast.group), {r.agent for r in broadcast.replies.values()}
        if its and caller.agent_id not in {broadcast.by, *agents}:
            self._roll.own(caller, its)
        elif caller.class_ == "agent" and caller.agent_id not in {broadcast.by, *agents}:
            raise Refused(f"{broadcast.id} is another's question, and {caller} was not asked. Ask a person.")
        return broadcast

    def _reducer(self, name: str, broadcast: Broadcast) -> str:
        group = self._shelf.groups.get(broadcast.group)
        preset = self._settings.presets.get(group.preset) if group else None
        name = name or (preset.reducer if preset else "") or self._settings.defaults.default_reducer
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
            value, more = await judged(self._kernel, self._shelf, caller, fold.removeprefix("judge:"), b, answers)
        else:
            value, more = self._folded(fold, answers)
        metadata |= more
        costs = [r.cost_usd for r in b.replies.values() if r.cost_usd is not None]
        metadata |= {"cost_usd": sum(costs)} if costs else {}
        errors = {r.label: r.reason or r.status for r in b.arrived if r.status in ("errored", "lost")}
        late = [r.label for r in b.arrived if r.status == "timeout"]
        order = [r.label for r in b.arrived if r.order]
        return Result(b.id, ended, winner, dict(b.replies), order, value, value, errors, late, metadata)

    def _folded(self, fold: str, answers: list[Answer]) -> tuple[Any, dict[str, Any]]:
        reducer: Any = self._kernel.reducers[fold]
        try:
            return reducer.fold(answers), dict(reducer.details(answers)) if hasattr(reducer, "details") else {}
        except Exception as error:  # anybody's code; the answers are kept
            raise AegisError(f"the reducer {fold!r} failed: {error!r}; wait again with another one") from error


def _answer(reply: Reply) -> Answer:
    outcome = _OUTCOME.get(reply.status, "failed")
    return Answer(reply.label, reply.text, outcome, reply.reason, reply.turn_ms / 1000, reply.cost_usd)
