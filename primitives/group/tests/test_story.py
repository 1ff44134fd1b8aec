"""A random story: groups that share members, asked at once, renamed, moved, closed, restarted."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import trio
from group_stage import House, settled

from aegis import Refused
from aegis.testing.echo import EchoPlugin
from aegis_group.shelf import Shelf
from aegis_group.values import Broadcast

SEEDS = range(4)
STEPS = 60


def check(broadcast: Broadcast) -> None:
    """See that each answer is of this broadcast, and that everybody has a status."""
    assert broadcast.over
    assert broadcast.open == []
    for reply in broadcast.replies.values():
        if reply.status == "done":
            asked = reply.text.index(f"group:{broadcast.name}/broadcast:{broadcast.id}")
            assert reply.text[asked:].count(broadcast.fields["objective"]) == 1
        else:
            assert reply.status in ("silent", "errored", "canceled", "timeout", "lost")
            assert reply.status == "silent" or reply.reason
    orders = [reply.order for reply in broadcast.replies.values() if reply.order]
    assert sorted(orders) == list(range(1, len(orders) + 1)), "each answer has its own place"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_each_broadcast_ends_once_and_each_answer_is_its_own(kernel_with, plugins, seed):
    print(f"seed {seed}")
    dice, asked = random.Random(seed), []
    echo: EchoPlugin = plugins["echo"]
    echo.driver.gated = True

    async def step(house: House) -> None:
        groups = [face.name for face in await house.call("group list")]
        handles = sorted(agent.handle for agent in house.kernel.roster)
        sessions = list(echo.driver.sessions.values())
        match dice.choice(["ask", "ask", "open", "open", "open", "stray", "rename", "move", "close", "spawn", "any"]):
            case "spawn" if len(handles) < 8:
                await house.call("group spawn", group=dice.choice([*groups, f"g{len(asked)}"]), profile="sec")
            case "ask" if groups:
                name = dice.choice(groups)
                asked.append(await house.ask(name, objective=f"question-{len(asked)}-", timeout=1000))
            case "any" if groups and asked:
                with trio.move_on_after(0.05):
                    await house.call("group wait-any", group=dice.choice(groups), broadcast_id=dice.choice(asked))
            case "open" if sessions:
                session = dice.choice(sessions)
                session.gate.set()
                await settled()
                session.gate = trio.Event()
            case "stray" if handles:
                await house.call("send", handle=dice.choice(handles), text="something else")
            case "rename" if handles:
                await house.call("rename", old_handle=dice.choice(handles), new_handle=f"agent-{dice.randrange(10**6)}")
            case "move" if len(groups) > 1:
                here = await house.call("group status", group=dice.choice(groups))
                member = dice.choice(sorted(here.members.values()))
                with suppress(Refused):  # it is there already
                    await house.call(
                        "group move-member", handle=member, from_group=here.name, to_group=dice.choice(groups)
                    )
            case "close" if len(handles) > 2:
                await house.kernel.roster.close(house.agent(dice.choice(handles)), "closed by the story")
        await settled()

    for life in range(3):
        async with kernel_with(**plugins) as kernel:
            house = House(kernel, echo)
            if life == 0:
                for name in ("one", "two"):
                    await house.gather("sec", "api", group=name)
                shared = (await house.call("group status", group="one")).members["sec"]
                await house.call("group add", group="two", handle=shared)
            for _ in range(STEPS // 3):
                await step(house)
    echo.driver.gated = False
    async with kernel_with(**plugins) as kernel:
        shelf = Shelf(kernel)
        house = House(kernel, echo)
        await house.call("reopen")
        with trio.fail_after(20):
            for broadcast in asked:
                await house.call("group wait-all", group="any", broadcast_id=broadcast)
        for broadcast in asked:
            check(shelf.broadcast(broadcast))
            ends = [r for r in kernel.ledger.book("group").find(broadcast) if r.kind == "broadcast_completed"]
            assert len(ends) == 1
