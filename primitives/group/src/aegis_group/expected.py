"""What a question to several agents may cost, by what their turns cost so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from aegis import Kernel

_LOOK = 300  # of the newest turns, those of members' profiles tell what one of theirs costs


def expected(kernel: Kernel, agents: Sequence[str]) -> float | None:
    """Return dollars for one turn of each agent, None when nothing is known of any.

    An agent's own turns say it best, else those of its profile; one of which neither is known counts like the others.
    """
    known: list[float] = []
    fresh: list[str] = []
    for one in filter(None, map(kernel.roster.get, agents)):
        if one.turns:
            known.append(one.cost_usd / one.turns)
        else:
            fresh.append(one.profile_name)
    if fresh:
        means = _means(kernel, set(fresh))
        known += [means[profile] for profile in fresh if profile in means]
    return sum(known) / len(known) * len(agents) if known else None


def _means(kernel: Kernel, profiles: set[str]) -> dict[str, float]:
    """Return the mean cost of a turn of each of these profiles, of which a turn is on record."""
    roster, profile_of, costs = kernel.ledger.book("roster"), dict[str, str](), defaultdict[str, list[float]](list)
    for turn in kernel.ledger.book("mail").newest("turn", _LOOK):
        agent = str(turn.data.get("agent", ""))
        if agent not in profile_of:
            profile_of[agent] = next((str(r.data["profile"]) for r in roster.find(agent)[:1]), "")
        if profile_of[agent] in profiles:
            costs[profile_of[agent]].append(turn.data.get("cost_usd") or 0.0)
    return {profile: sum(each) / len(each) for profile, each in costs.items()}
