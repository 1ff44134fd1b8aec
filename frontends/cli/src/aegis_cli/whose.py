"""Who speaks through the control socket: the person, or the agent whose process is at its other end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from aegis.callers import Caller
from aegis.errors import Refused
from aegis.events import Notice
from aegis_processes.ancestry import origins

if TYPE_CHECKING:
    from aegis.app import Kernel

_TERMINALS = "term whose"  # the verb that knows for whom a shared terminal works at this moment
_FOR_PEOPLE = {"watch": "follow what everybody does", "quit": "end aegis"}


async def agent_of(kernel: Kernel, pid: int) -> str:
    """Return the id of the agent that this process descends from, empty for a person's; raises `Gone`.

    This is no wall against a process that wants to lie, which may have another one ask, but it makes true what honest
    programs do. Where it is not Linux, one that cleared its environment and left its family is taken for a person's.
    """
    family = await trio.to_thread.run_sync(origins, pid)
    for _, mark in family:
        if mark and (":" in mark or kernel.roster.born(mark)):  # an agent of another machine has no id here
            return mark
    if family and _TERMINALS in kernel.verbs.verbs:
        asked = Caller("system", "control")
        return str(await kernel.verbs.call(asked, _TERMINALS, {"pids": [number for number, _ in family]}))
    return ""


class Speaker:
    """The one at the other end of a connection, as a caller: an agent is one whatever command it uses."""

    def __init__(self, kernel: Kernel, person: Caller, agent_id: str, pid: int) -> None:
        self._kernel, self._person, self._agent_id, self._pid = kernel, person, agent_id, pid

    @property
    def caller(self) -> Caller:
        """Who speaks, as it is called now; an agent that was closed may do nothing."""
        if not self._agent_id:
            return self._person
        roster = self._kernel.roster
        if agent := roster.get(self._agent_id):
            return roster.caller(agent)
        return Caller("agent", roster.label(self._agent_id), self._agent_id, verbs=())

    def check(self, method: str, verb: str = "") -> None:
        """Raise `Refused` when an agent wants what is for people, after it was told to those who watch."""
        if not self._agent_id:
            return
        caller = self.caller
        try:
            if method in _FOR_PEOPLE:
                raise Refused(f"{caller} may not {_FOR_PEOPLE[method]}: that is for people")
            if verb:
                self._kernel.verbs.find(caller, verb)
        except Refused as refusal:
            if not verb or verb in self._kernel.verbs.verbs:
                what = f"a command of {caller} (process {self._pid}) was refused at the control socket: {refusal}"
                self._kernel.bus.publish(self._agent_id, Notice(what, "warning", "control"))
            raise
