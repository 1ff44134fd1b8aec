"""What an act is held to: the agent that it is the act of, whatever it came through, alive or closed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from aegis_permission.permission import Mode


class Act(Protocol):
    """A caller; `agent_id` is empty when no agent is behind it."""

    @property
    def agent_id(self) -> str:
        """The agent whose act it is."""


class Kernel(Protocol):
    """Where agents are known: by a roster, and their profiles by the configuration."""

    roster: Any
    config: Any
    post: Any


def profile_of(kernel: Kernel, agent_id: str) -> Any:
    """Return the profile that an agent's acts are held to: the one in force, or that of a closed one as it is now.

    None when nobody knows of such an agent, or its profile is gone: it is held to having nothing.
    """
    if agent := kernel.roster.get(agent_id):
        return agent.profile
    born = kernel.roster.born(agent_id)
    if born is None or born.profile not in kernel.config.names():
        return None
    try:
        return kernel.config.profile(born.profile)[0]
    except Exception:  # noqa: BLE001 - its provider is gone, or it is wrong: whatever the reason, it gives nothing
        return None


def mode_of(kernel: Kernel, caller: Act) -> Mode:
    """Return the permission that the caller's act is held to; everybody but agents may do everything."""
    if not caller.agent_id:
        return "full"
    profile = profile_of(kernel, caller.agent_id)
    mode: Mode = profile.permission if profile else "read"
    return mode


def sees_all(kernel: Kernel, agent_id: str) -> bool:
    """Return whether the agent may read what is not its own: as its profile says, else as the one that started it.

    Without a word of any profile a worker of a queue sees its own, everybody else all.
    """
    for _ in range(100):  # who started whom: the first that says something counts
        agent = kernel.roster.get(agent_id)
        by = agent.started_by if agent else getattr(kernel.roster.born(agent_id), "by", None)
        if by is None:  # nobody, or so long gone that nothing is known of it
            return True
        profile = profile_of(kernel, agent_id)
        if profile is None or profile.sees:
            return profile is not None and profile.sees == "all"
        if "queue" in by.via:
            return False
        if not by.agent_id:
            return True
        agent_id = by.agent_id
    return False


async def sees(kernel: Kernel, caller: Act, owners: Iterable[str]) -> bool:
    """Return whether the caller may read what belongs to one of these, agents by their ids or people by their names.

    An agent that sees its own sees what is its own, and that of those whom it started, that started it (also the person
    with whom that began), or that have written to it. To write to somebody opens nothing.
    """
    if not caller.agent_id or sees_all(kernel, caller.agent_id):
        return True
    me, others = caller.agent_id, sorted({*owners} - {""})
    near = me in others or _starter(kernel, me) in others or any(_starter(kernel, other) == me for other in others)
    near = near or _person(kernel, me) in others
    return near or bool(others and await kernel.post.heard_from(me, others))


def blind(what: str) -> str:
    """Return the sentence for one that may not read this."""
    return (
        f"{what} is none of yours, and you see your own: what you, those who wrote to you, and those you started or "
        "were started by do. A person can let you see more: `sees: all` in your profile"
    )


def _starter(kernel: Kernel, agent_id: str) -> str:
    agent = kernel.roster.get(agent_id)
    born = None if agent else kernel.roster.born(agent_id)
    by = agent.started_by if agent else born.by if born else None
    return (by.agent_id or by.principal) if by else ""


def _person(kernel: Kernel, agent_id: str) -> str:
    """Return who started the first of those that started one another down to this agent."""
    for _ in range(100):
        starter = _starter(kernel, agent_id)
        if not starter or kernel.roster.born(starter) is None:
            return starter
        agent_id = starter
    return ""
