"""What everyone may see of an agent, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import trio

from aegis.callers import Caller
from aegis.driver import Driver, Profile
from aegis.errors import AegisError, Refused
from aegis.events import AgentChanged, Event, Notice, PermissionAsked
from aegis.mailbox import Mailbox

if TYPE_CHECKING:
    from aegis.app import Kernel

AgentState = Literal["starting", "idle", "working", "asleep", "stopped", "failed", "closed"]
_SHOWN = ("id", "handle", "state", "reason", "session_id", "began", "by", "turns", "cost_usd", "cost_unknown", "born")


@dataclass(slots=True, eq=False, kw_only=True)
class AgentView:
    """The public side of an agent: its id never changes, its handle is a label, `began` how its session did."""

    kernel: Kernel
    id: str
    handle: str
    profile_name: str
    profile: Profile
    driver: Driver
    mailbox: Mailbox
    born: str
    started_by: Caller
    session_id: str = ""
    state: AgentState = "stopped"
    reason: str = ""
    began: str = ""
    turns: int = 0
    cost_usd: float = 0.0  # of the turns whose cost is known
    cost_unknown: int = 0  # the others
    to_sleep: str = ""
    slept: trio.Event = field(default_factory=trio.Event)
    notes: dict[str, str] = field(default_factory=dict)
    expecting: dict[str, str] = field(default_factory=dict)
    asking: dict[str, PermissionAsked] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Whose act its start was: an agent's id, or a caller's name."""
        return self.started_by.agent_id if self.started_by.kind == "agent" else str(self.started_by)

    def snapshot(self) -> dict[str, Any]:
        """Return it as JSON."""
        p = self.profile
        view = {n: getattr(self, n) for n in _SHOWN} | {"profile": self.profile_name, "notes": dict(self.notes)}
        view |= {"provider": p.provider, "model": p.model or "", "permission": p.permission}
        asking = [msgspec.to_builtins(a) for a in self.asking.values()]
        return view | {"queued": len(self.mailbox.waiting), "asking": asking, "expecting": dict(self.expecting)}

    def show(self, state: AgentState | None = None, reason: str = "", *more: Event) -> None:
        """Publish it, after a change of state if one is given, and more that happened with that."""
        if state:
            self.state, self.reason = state, reason
            self.mailbox.busy = state != "idle"
        self.kernel.bus.publish(self.id, AgentChanged(self.snapshot()), *more)

    def expect(self, what: str, words: str) -> None:
        """Show what will come to the agent without anyone's doing (a ticket's result, a task's end); no words: it came.

        What comes is delivered before its expectation is taken back, so that one of the two is always there.
        """
        if words:
            self.expecting[what] = words
        else:
            self.expecting.pop(what, None)
        self.show()

    def note(self, source: str, text: str) -> None:
        """Show a plugin's remark beside the agent on every surface; an empty text takes it back."""
        if self.notes.get(source, "") != text:
            self.notes[source] = text
            if text:
                self.kernel.bus.publish(self.id, Notice(text, "warning", source))
            else:
                del self.notes[source]
            self.show()

    def follow_profile(self, *, take: bool = False) -> None:
        """Note whether the profile is now configured otherwise; with `take` that is in force from here on."""
        try:
            now, driver = self.kernel.config.profile(self.profile_name)
        except AegisError:
            self.note("config", f"the profile {self.profile_name!r} is gone; the agent keeps the settings it has")
            return
        if take:
            self.session_id = self.session_id if driver is self.driver else ""  # of another provider's CLI
            self.profile, self.driver = now, driver
        changed = f"the profile {self.profile_name!r} has changed; the agent takes it when its CLI starts next"
        self.note("config", changed if now != self.profile else "")

    async def sleep(self, why: str = "") -> None:
        """Have no session until mail comes, or `mailbox.wake()`; raises `Refused` while there is something to do.

        The agent's own task ends the session, so nothing that task waits for may wait for this.
        """
        busy = "" if self.state in ("idle", "stopped", "asleep") else f"it is {self.state}"
        busy = busy if self.kernel.roster.get(self.id) is self else "it is not here"
        if busy := self.mailbox.closed or busy or ("it has mail" if self.mailbox.waiting else ""):
            raise Refused(f"{self.handle} cannot be put to sleep now: {busy}")
        if self.state != "asleep":
            self.to_sleep, self.slept = self.to_sleep or why or "it was put to sleep", trio.Event()
            self.mailbox.wake()
            await self.slept.wait()
