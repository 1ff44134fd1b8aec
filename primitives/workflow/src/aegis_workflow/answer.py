"""What an agent answers: the end of the turn that carried a message, or of what came of that turn."""

from __future__ import annotations

from aegis import Kernel
from aegis.events import AgentChanged, Gap, TurnEnded


async def answer(kernel: Kernel, letter: str) -> TurnEnded:
    """Return how the last of the agent's turns about this message ended: the first after which nothing comes to it."""
    post = kernel.post
    with kernel.bus.subscribe(only=(AgentChanged, TurnEnded)) as news:
        ended = await post.wait_turn(letter)
        about, awaited = post.find(letter)[0], set[str]()
        while (agent := kernel.roster.get(about.recipient)) and ended.outcome == "completed":
            awaited |= {what.rpartition(" ")[2] for what in agent.expecting}
            coming = [x.envelope for x in post.letters(agent.id) if x.envelope.task_id]
            if ours := [e.id for e in coming if e.trace == about.trace or e.task_id in awaited]:
                ended = await post.wait_turn(ours[-1])
            elif agent.expecting:
                async for batches in news:
                    events = [event for batch in batches for event in batch.events if batch.agent_id in ("", agent.id)]
                    if own := [e for e in events if isinstance(e, TurnEnded) and not e.turn and e.reply]:
                        ended = own[-1]  # of its own accord, after work in the background
                    if any(isinstance(event, AgentChanged | Gap) for event in events):
                        break
            else:
                break
    return ended
