"""How often and how much: the interceptor that is asked before each verb and each permission request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aegis import Caller, Decision, Kernel, NotFound, PermissionRequest, Refused, Seat
from aegis.verbs import VerbCall
from aegis_limits.buckets import Buckets
from aegis_limits.settings import LimitsSettings

# Verb → the settings of the rates it counts for, and what is said to be done too often.
_RATES = {
    "handoff": ("sends", "messages"),
    "send": ("sends", "messages"),
    "group broadcast": ("sends", "messages"),
    "enqueue": ("tasks", "tasks"),
    "task retry": ("tasks", "tasks"),
    "rename": ("renames", "renames"),
    "group rename": ("renames", "renames"),
    "workflow run": ("runs", "workflows"),
    "workflow retry": ("runs", "workflows"),
}
_PEOPLE = frozenset({"human", "person", "user"})  # what a handoff to a person is addressed to


def agent_behind(caller: Caller) -> str:
    """Return which agent's act a call is, empty when it is a person's or a program's own."""
    return caller.agent_id or (caller.principal if caller.principal.startswith("agent:") else "")


class Rates:
    """Counts calls and requests by whose act they are."""

    name = "limits"
    order = -1_000  # a flood is stopped before others do anything about it

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings, self._buckets = kernel, settings, Buckets()

    @property
    def _now(self) -> LimitsSettings:
        section: LimitsSettings = self._settings["limits"]  # as it is now
        return section

    def before_verb(self, call: VerbCall) -> None:
        """Refuse a call that is one too many, or too large."""
        agent = agent_behind(call.caller)
        if not agent:
            if not call.caller.via:  # what a program does within a call is a part of that
                self._take(call.caller.principal, "calls_per_minute_of_people", "calls")
            return
        self._take(agent, "calls_per_minute", "calls")
        if not call.read_only:
            self._take(agent, "changes_per_minute", "changes")
        if call.verb in _RATES:
            setting, things = _RATES[call.verb]
            self._take(agent, f"{setting}_per_minute", things)
        if (size := len(call.canonical.encode())) > self._now.call_bytes:
            raise Refused(
                f"{call.verb}: the arguments have {size:,} bytes (limits.call_bytes is {self._now.call_bytes:,}); "
                "put them into a file and hand over its path"
            )
        if call.verb == "handoff":
            self._hand_over(agent, str(call.args.get("target_handle")))

    def _hand_over(self, agent: str, target: str) -> None:
        post = self._kernel.post
        if target.split(":")[0] in _PEOPLE:
            self._take(agent, "questions_per_minute", "messages to people")
            people = {x.envelope.recipient for x in post.letters() if x.envelope.recipient.startswith("human:")}
            if target.startswith("human:") and target not in people and len(people) >= self._now.max_people:
                raise Refused(
                    f"{len(people)} people have not read their messages (limits.max_people is {self._now.max_people}); "
                    "write to the person with target `human`"
                )
            return
        to = f"peer:{target}" if "@" in target and ":" not in target else target
        with suppress(NotFound):
            to = self._kernel.roster.find(target).id
        kin = self._eldest(agent)
        letters = [x for x in post.letters(to) if x.envelope.sender_id and self._eldest(x.envelope.sender_id) == kin]
        share, most = self._now.mailbox_share / 100, post.limits
        if len(letters) >= max(1, most.letters * share) or sum(x.size for x in letters) > most.size * share:
            raise Refused(
                f"{len(letters)} messages of you and yours to {target} are not read yet (limits.mailbox_share is "
                f"{self._now.mailbox_share} % of its mailbox); wait for its answer"
            )

    def _eldest(self, agent: str) -> str:
        """Return the agent with which those began that started one another down to this one: they share their room."""
        for _ in range(100):
            alive, born = self._kernel.roster.get(agent), self._kernel.roster.born(agent)
            by = alive.started_by if alive else born.by if born else None
            if by is None or not (starter := agent_behind(by)):
                break
            agent = starter
        return agent

    def before_spawn(self, by: Caller, profile: str, handle: str) -> None:
        """Refuse an agent that starts others too often; without a handle it is only asked whether it may."""
        if handle and (agent := agent_behind(by)) and "queue" not in by.via:
            self._take(agent, "spawns_per_minute", "agents")

    def permission(self, seat: Seat, request: PermissionRequest) -> Decision | None:
        """Deny a request that is one too many for a person to look at."""
        agent = self._kernel.roster.get(seat.agent_id)
        if request.presumed or agent is None:
            return None
        if len(agent.asking) > self._now.max_requests:
            most = self._now.max_requests
            return Decision("denied", f"{most} of your requests are open (limits.max_requests); wait for their answers")
        size, large = len(request.title) + len(str(request.input)), self._now.request_characters
        if size > large:
            return Decision(
                "denied", f"it has {size:,} characters, and a person reads {large:,} (limits.request_characters)"
            )
        try:
            self._take(seat.agent_id, "requests_per_minute", "requests")
        except Refused as refusal:
            return Decision("denied", str(refusal))
        return None

    def agent_closed(self, agent_id: str) -> None:
        """Forget what it did."""
        self._buckets.forget(agent_id)

    def _take(self, who: str, setting: str, things: str) -> None:
        rate: int = getattr(self._now, setting)
        if seconds := self._buckets.take(who, setting, rate):
            label = self._kernel.roster.label(who)
            raise Refused(
                f"{label}: too many {things} (limits.{setting} is {rate:,}); try again in {math.ceil(seconds)} s"
            )
