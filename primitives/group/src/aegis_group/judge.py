"""A judge: an agent of another profile that reads all answers and decides between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from aegis import AegisError, Answer, Caller, Kernel
from aegis.clock import new_id
from aegis_group.store import Store
from aegis_group.values import Broadcast

_QUESTION = """\
Several agents were asked the same, each by itself. Decide what the answer is: take the best one or what they agree on,
say so in one text that stands by itself, and end with one sentence on why.

What they were asked:
{asked}

What they said:
{said}"""


def cut(text: str, most: int) -> str:
    """Return the text, or as much of it as a turn has room for."""
    return text if len(text) <= most else f"{text[:most]}\n(The rest of {len(text):,} characters is cut off.)"


async def judged(
    kernel: Kernel, store: Store, caller: Caller, profile: str, broadcast: Broadcast, answers: Sequence[Answer]
) -> tuple[str, dict[str, Any]]:
    """Return the judge's answer, its profile and its cost; raises `AegisError` when it gave no answer."""
    given = [a for a in answers if a.outcome == "completed" and a.text]
    most = kernel.post.limits.turn // (8 * max(1, len(given)))  # characters: up to four bytes each, and twice as many
    said = "\n\n".join(f"--- {a.handle}\n{cut(a.text, most)}" for a in given)
    if not said:
        return "", {"judge": profile, "judge_cost_usd": 0.0}
    handle = f"judge-{new_id()[-8:].lower()}"
    await store.append(store.draft("judging", broadcast.id, profile=profile, closing=[handle]))  # whatever happens
    agent = None
    try:
        made = await kernel.verbs.call(caller, "spawn", {"agent": profile, "handle": handle})
        agent = kernel.roster.get(made.id)
        if agent is None:
            raise AegisError(f"the judge ({profile}) was closed before it was asked")
        question = _QUESTION.format(asked=broadcast.fields.get("objective", ""), said=said)
        more = {"trace": broadcast.trace} if broadcast.trace else {}
        sender = f"group:{broadcast.name}/broadcast:{broadcast.id}"
        letter = kernel.post.envelope(sender, agent.id, question, hops=broadcast.hops + 1, **more)
        await kernel.post.deliver(letter)
        ended = await kernel.post.wait_turn(letter.id)
        if ended.outcome != "completed":
            raise AegisError(f"the judge ({profile}) gave no answer: {ended.outcome} {ended.reason}".strip())
        return ended.reply, {"judge": profile, "judge_cost_usd": ended.cost_usd}
    finally:
        store.closing.discard(handle)
        if agent:
            with trio.CancelScope(shield=True):
                await kernel.roster.close(agent, "it has judged")
