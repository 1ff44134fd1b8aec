"""A group, its members, its broadcasts, and each member's reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Status = Literal["working", "done", "silent", "errored", "canceled", "timeout", "lost"]
NEXT = -1  # the order of an answer that has just come: it is numbered when it is stored
FIELDS = ("objective", "output_format", "tool_guidance", "boundaries")


class Member(msgspec.Struct, frozen=True):
    """One agent in a group; its label is its profile, with `#2` for the second of a profile."""

    label: str
    agent: str
    profile: str


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named set of agents; `by` is the address of who made it."""

    id: str
    name: str
    by: str
    members: dict[str, Member] = {}
    preset: str = ""

    def fresh_label(self, profile: str) -> str:
        """Return the label of a further member of this profile."""
        number = 1 + sum(label.split("#")[0] == profile for label in self.members)
        while (label := profile if number == 1 else f"{profile}#{number}") in self.members:
            number += 1
        return label


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member's reply to a broadcast; `order` is its place in the order of arrival."""

    label: str
    agent: str
    handle: str
    envelope: str
    status: Status = "working"
    text: str = ""
    reason: str = ""
    turn_ms: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_unknown: bool = False  # these are only a part
    cost_usd: float | None = None
    order: int = 0


class Broadcast(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question to a group and the replies so far; `over` says how it ended: all, any, quorum, veto, deadline…"""

    id: str
    group: str
    name: str
    by: str
    fields: dict[str, str]
    started: str
    deadline: str
    replies: dict[str, Reply] = {}
    over: str = ""
    winner: str = ""
    callback: bool = False
    trace: str = ""
    hops: int = 0

    def __str__(self) -> str:
        asks = (self.fields.get("objective", "").strip().splitlines() or [""])[0][:80]
        return f"{asks} · {len(self.arrived)} of {len(self.replies)} answered, until {self.deadline}"

    @property
    def open(self) -> list[Reply]:
        """The members that have not answered."""
        return [reply for reply in self.replies.values() if reply.status == "working"]

    @property
    def arrived(self) -> list[Reply]:
        """Those that have, in the order of arrival."""
        return sorted((r for r in self.replies.values() if r.status != "working"), key=lambda r: r.order)

    @property
    def done(self) -> list[Reply]:
        """Those that gave an answer."""
        return [reply for reply in self.arrived if reply.status == "done"]

    def changed(self, data: Mapping[str, Any]) -> Broadcast:
        """Return the broadcast as it is after a record with this data."""
        now = msgspec.to_builtins(dict(data))
        new = msgspec.convert(now.pop("replies", {}), dict[str, Reply])
        if now.get("over"):  # an answer that came while the end was being stored is one
            new = {label: reply for label, reply in new.items() if self.replies[label].status == "working"}
        order = 1 + sum(1 for other in self.replies.values() if other.order)
        for label, reply in new.items():
            if reply.order == NEXT:  # numbered only now: several answers may be stored at once
                new[label] = msgspec.structs.replace(reply, order=order)
        fields = {name: value for name, value in now.items() if name in self.__struct_fields__}
        return msgspec.structs.replace(self, **fields, replies=self.replies | new)


def body(fields: Mapping[str, str]) -> str:
    """Return the text that a member reads: four `key: value` lines."""
    return "\n".join(f"{name}: {fields.get(name, '')}" for name in FIELDS)
