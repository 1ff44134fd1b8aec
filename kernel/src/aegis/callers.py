"""Who is asking, and for whom."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Class = Literal["agent", "person", "program"]
CLASSES: frozenset[Class] = frozenset({"agent", "person", "program"})
_CLASS_OF: dict[str, Class] = {"agent": "agent", "human": "person"}


class Caller(msgspec.Struct, frozen=True, omit_defaults=True):
    """One who calls a verb, filled in by the surface: `agent:lucid-knuth`, `human:anna`, `schedule:nightly`.

    `kind` is a free word; `class_` says which verbs are for it: any kind but `agent` and `human` is a program unless it
    is given. `trace` is the request that all began with, `hops` counts the envelopes since; `verbs` limits what it may
    use. `via` names the programs the call came through, `on_behalf_of` whose act it is: an agent's has an `agent_id`.
    """

    kind: str
    name: str
    agent_id: str = ""
    trace: str = ""
    hops: int = 0
    verbs: tuple[str, ...] | None = None
    class_: Class | Literal[""] = ""
    via: tuple[str, ...] = ()
    on_behalf_of: str = ""

    def __post_init__(self) -> None:
        bound = self.agent_id or (self.principal if self.principal.startswith("agent:") else "")
        for name, value in (("class_", self.class_ or _CLASS_OF.get(self.kind, "program")), ("agent_id", bound)):
            msgspec.structs.force_setattr(self, name, value)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def principal(self) -> str:
        """Whose act this is: the agent or person at the root, or this caller itself."""
        return self.on_behalf_of or str(self)

    def through(self, kind: str, name: str = "") -> Caller:
        """Return the program that acts for this caller: agent, trace, hops, verb set and whose act it is stay."""
        more = {"class_": "program", "via": (*self.via, kind), "on_behalf_of": self.principal}
        return msgspec.structs.replace(self, kind=kind, name=name or self.name, **more)

    def may(self, verb: str) -> bool:
        """Return whether the caller's verb set has this verb; `canvas *` stands for a whole family."""
        return self.verbs is None or any(fnmatchcase(verb, pattern) for pattern in self.verbs)
