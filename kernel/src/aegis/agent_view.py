"""What everyone may see of an agent, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from aegis.driver import Profile
from aegis.events import AgentChanged, Notice, PermissionAsked
from aegis.mailbox import Mailbox

if TYPE_CHECKING:
    from aegis.app import Kernel

AgentState = Literal["starting", "idle", "working", "stopped", "failed", "closed"]
_SHOWN = ("id", "handle", "state", "reason", "session_id", "began", "by", "turns", "cost_usd", "born")


@dataclass(slots=True, eq=False, kw_only=True)
class AgentView:
    """The public side of an agent: its id never changes, its handle is a label, `began` how its session did."""

    kernel: Kernel
    id: str
    handle: str
    profile_name: str
    profile: Profile
    mailbox: Mailbox
    born: str
    by: str
    session_id: str = ""
    state: AgentState = "stopped"
    reason: str = ""
    began: str = ""
    turns: int = 0
    cost_usd: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)
    expecting: dict[str, str] = field(default_factory=dict)
    asking: dict[str, PermissionAsked] = field(default_factory=dict)

    def snapshot(self) -> dict[str, Any]:
        """Return it as JSON."""
        p = self.profile
        view = {n: getattr(self, n) for n in _SHOWN} | {"profile": self.profile_name, "notes": dict(self.notes)}
        view |= {"provider": p.provider, "model": p.model or "", "permission": p.permission}
        asking = [msgspec.to_builtins(a) for a in self.asking.values()]
        return view | {"queued": len(self.mailbox.waiting), "asking": asking, "expecting": dict(self.expecting)}

    def show(self, state: AgentState | None = None, reason: str = "") -> None:
        """Publish it, after a change of state if one is given."""
        if state:
            self.state, self.reason = state, reason
            self.mailbox.busy = state != "idle"
        self.kernel.bus.publish(self.id, AgentChanged(self.snapshot()))

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
