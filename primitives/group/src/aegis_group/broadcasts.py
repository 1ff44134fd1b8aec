"""The verbs that ask a group and wait for its answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import trio
from pydantic import Field

from aegis import Answer, Caller, Completes, Kernel, NotFound, Refused, report, verb
from aegis.clock import new_id, stamp
from aegis.errors import listed, nearest
from aegis_group.judge import judged
from aegis_group.members import GroupName, Members
from aegis_group.rounds import Rounds, due
from aegis_group.settings import GroupSettings
from aegis_group.shelf import Shelf
from aegis_group.values import Broadcast, Reply, body

BroadcastId = Annotated[str, Field(description="which broadcast; the group's newest when none is given")]
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

    def __init__(self, kernel: Kernel, shelf: Shelf, rounds: Rounds, members: Members, settings: GroupSettings) -> None:
        self._kernel, self._shelf, self._rounds = kernel, shelf, rounds
        self._members, self._settings = members, settings
        kernel.verbs.complete_with("reducer", lambda: sorted(kernel.reducers))

    async def run(self) -> None:
        """See every open broadcast to its end."""
        await self._members.tidy()
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
    ) -> Asked:
        """Ask every member of a group the same; it is on disk, and before each of them, when this returns.

        Wait for the answers with one of the group waits, or with `callback` end your turn and be woken by them.
        """
        if not objective.strip():
            raise Refused("the objective is empty; say what is wanted")
        found = self._members.own(caller, self._shelf.group(group))
        fields = {
            "objective": objective, "output_format": output_format, "tool_guidance": tool_guidance,
            "boundaries": boundaries,
        }  # fmt: skip
        preset = self._settings.presets.get(found.preset)
        seconds = timeout or (preset.timeout if preset else None) or self._settings.defaults.broadcast_timeout
        made, post = new_id(), self._kernel.post
        trace = {"trace": caller.trace} if caller.trace else {}
        letters, replies = [], {}
        for label, member in sorted(found.members.items()):
            if member.agent == caller.agent_id or not (agent := self._kernel.roster.get(member.agent)):
                continue
            sender, hops = f"group:{group}/broadcast:{made}", caller.hops + (caller.kind == "agent")
            letter = post.envelope(sender, agent.id, body(fields), hops=hops, **trace)
            letters.append(letter)
            replies[label] = Reply(label, agent.id, agent.handle, letter.id)
        if not letters:
            raise Refused(f"{group} has no member to ask" + (" but you" if found.members else ""))
        asked = Broadcast(
            made, found.id, group, caller.agent_id or str(caller), fields, stamp(self._kernel.clock.now()),
            due(self._kernel, seconds), replies, callback=callback, trace=caller.trace, hops=caller.hops,
        )  # fmt: skip
        cost = self._expected([reply.agent for reply in replies.values()])
        report(f"asking {len(letters)} members" + ("" if cost is None else f", about ${cost:.2f}"))
        await self._shelf.store(
            self._shelf.draft("broadcast_started", made, **msgspec.to_builtins(asked)), *map(post.accept, letters)
        )
        if callback and (asker := self._kernel.roster.get(caller.agent_id)):
            asker.expect(f"broadcast {made}", f"the answers of {group}")
        self._rounds.begin(asked)
        return Asked(made, group, tuple(replies), asked.deadline, cost)

    def _expected(self, agents: list[str]) -> float | None:
        """Return what one turn of each cost on the average so far, None when none of them had one."""
        faces = [agent for x in agents if (agent := self._kernel.roster.get(x)) and agent.turns]
        return sum(a.cost_usd / a.turns for a in faces) * len(agents) / len(faces) if faces else None

    # -- waiting ------------------------------------------------------------------------------------------------

    @verb("group wait-all", tool="aegis_group_wait_all")
    async def wait_all(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Annotated[float | None, Field(gt=0, description="seconds to wait at most")] = None,  # noqa: ASYNC109
    ) -> Result:  # fmt: skip
        """Return the answers of all members as one value, those that did not come in time marked."""
        return await self._wait(caller, group, broadcast_id, reducer, timeout, lambda b: ("", "") if b.open else None)

    @verb("group wait-any", tool="aegis_group_wait_any")
    async def wait_any(
        self, caller: Caller, group: GroupName, broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Annotated[float | None, Field(gt=0, description="seconds to wait at most")] = None,  # noqa: ASYNC109
        cancel_losers: bool = True,
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Return the first answer; the others are told to stop, and need not begin if they had not."""
        losers = "interrupt" if interrupt else "cancel" if cancel_losers else ""

        def first(b: Broadcast) -> tuple[str, str] | None:
            return ("any", b.done[0].label) if b.done else ("", "") if b.open else None

        return await self._wait(caller, group, broadcast_id, reducer, timeout, first, losers)

    @verb("group wait-quorum", tool="aegis_group_wait_quorum")
    async def wait_quorum(
        self, caller: Caller, group: GroupName, count: Annotated[int, Field(ge=1, description="how many answers")],
        same: Annotated[bool, Field(description="so many that say the same")] = False,
        veto: Annotated[str, Field(description="regular expression; an answer that has it ends the wait")] = "",
        broadcast_id: BroadcastId = "", reducer: ReducerName = "",
        timeout: Annotated[float | None, Field(gt=0, description="seconds to wait at most")] = None,  # noqa: ASYNC109
        interrupt: Interrupt = False,
    ) -> Result:  # fmt: skip
        """Return the answers once `count` of them are there, or one of them is a veto; the others are told to stop."""
        try:
            against = re.compile(veto) if veto else None
        except re.error as error:
            raise Refused(f"veto is no regular expression: {error}") from None

        def enough(b: Broadcast) -> tuple[str, str] | None:
            if against and (no := next((r for r in b.done if against.search(r.text)), None)):
                return "veto", no.label
            alike = [r for r in b.done if not same or r.text.strip() == b.done[-1].text.strip()]
            return ("quorum", "") if len(alike) >= count else ("", "") if b.open else None

        losers = "interrupt" if interrupt else "cancel"
        return await self._wait(caller, group, broadcast_id, reducer, timeout, enough, losers)

    async def _wait(
        self, caller: Caller, group: str, broadcast_id: str, reducer: str, seconds: float | None,
        ready: Callable[[Broadcast], tuple[str, str] | None], losers: str = "",
    ) -> Result:  # fmt: skip
        """Wait until `ready` says how the broadcast ends (None: by itself, an empty word: not yet), and return it."""
        broadcast = self._which(caller, group, broadcast_id)
        fold = self._reducer(reducer, broadcast)
        with trio.move_on_after(seconds or float("inf")) as limit:
            said = -1
            while not (broadcast := self._shelf.broadcast(broadcast.id)).over:
                if (verdict := ready(broadcast)) and verdict[0]:
                    broadcast = await self._rounds.end(broadcast, *verdict, losers=losers)
                    break
                if len(broadcast.arrived) != said:
                    said = len(broadcast.arrived)
                    report(f"{said} of {len(broadcast.replies)} members answered")
                await self._rounds.moved()
        if limit.cancelled_caught:
            broadcast = await self._rounds.end(broadcast, "deadline", losers=losers)
        return await self._result(caller, broadcast, fold)

    def _which(self, caller: Caller, group: str, broadcast_id: str) -> Broadcast:
        if broadcast_id:
            return self._shelf.broadcast(broadcast_id)
        found = self._members.own(caller, self._shelf.group(group))
        newest = self._shelf.newest.get(found.id)
        if not newest:
            raise NotFound(f"{group} has not been asked anything yet; `group broadcast` does that")
        return self._shelf.broadcast(newest)

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

    async def _result(self, caller: Caller, b: Broadcast, fold: str) -> Result:
        answers = [_answer(reply) for reply in b.arrived if reply.order]
        metadata: dict[str, Any] = {"reducer": fold}
        if fold.startswith("judge:"):
            value, more = await judged(self._kernel, caller, fold.removeprefix("judge:"), b, answers)
            metadata |= more
        else:
            reducer: Any = self._kernel.reducers[fold]
            value = reducer.fold(answers)
            metadata |= reducer.details(answers) if hasattr(reducer, "details") else {}
        costs = [r.cost_usd for r in b.replies.values() if r.cost_usd is not None]
        metadata |= {"cost_usd": sum(costs)} if costs else {}
        errors = {r.label: r.reason or r.status for r in b.arrived if r.status in ("errored", "lost")}
        late = [r.label for r in b.arrived if r.status == "timeout"]
        order = [r.label for r in b.arrived if r.order]
        return Result(b.id, b.over, b.winner, dict(b.replies), order, value, value, errors, late, metadata)


def _answer(reply: Reply) -> Answer:
    outcome = _OUTCOME.get(reply.status, "failed")
    return Answer(reply.label, reply.text, outcome, reply.reason, reply.turn_ms / 1000, reply.cost_usd)
