"""What a question to several agents may cost, estimated by what their turns cost so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from aegis import Kernel

_LOOK = 300  # newest turns that are searched for those of the members' profiles


async def expected_cost(kernel: Kernel, agents: Sequence[str]) -> float | None:
    """Return the dollars of one turn of each agent, None when no cost is known.

    The average of an agent's own turns is taken, else of its profile's; an agent without either counts like the rest.
    """
    known: list[float] = []
    fresh: list[str] = []
    for one in filter(None, map(kernel.roster.get, agents)):
        if told := one.turns - one.cost_unknown:
            known.append(one.cost_usd / told)
        else:
            fresh.append(one.profile_name)
    if fresh:
        means = await _means(kernel, set(fresh))
        known += [means[profile] for profile in fresh if profile in means]
    return sum(known) / len(known) * len(agents) if known else None


async def _means(kernel: Kernel, profiles: set[str]) -> dict[str, float]:
    """Return the mean cost of a turn by profile, for those of these profiles that had one lately."""
    costs = defaultdict[str, list[float]](list)
    for turn in await kernel.post.turns(count=_LOOK):
        born = kernel.roster.born(turn.agent)
        if born and born.profile in profiles and turn.ended.cost_usd is not None:
            costs[born.profile].append(turn.ended.cost_usd)
    return {profile: sum(each) / len(each) for profile, each in costs.items()}
