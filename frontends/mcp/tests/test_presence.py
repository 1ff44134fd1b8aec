"""An agent whose CLI never came to the plane is noticed, shown, and forgiven when it comes."""

import pytest
from trio.testing import wait_all_tasks_blocked

from aegis.events import Notice


@pytest.fixture
async def noted(scene, clock):
    """Wait this long; return what stands beside the agents then."""

    async def wait(seconds: float) -> dict[str, str]:
        await wait_all_tasks_blocked()
        clock.jump(seconds)
        await wait_all_tasks_blocked(0.01)
        return {a.handle: a.notes.get("mcp", "") for a in scene.kernel.roster}

    return wait


async def test_an_agent_that_does_not_come_is_marked_until_it_comes(scene, raw, noted):
    await scene.spawn("alice")
    assert await noted(9) == {"alice": ""}
    assert await noted(1.1) == {"alice": "has not connected to the plane within 10 s: it has no aegis tools"}
    assert (await scene.status()).missing == ["alice"]
    await raw("alice").hello()
    assert await noted(0) == {"alice": ""}


async def test_that_it_does_not_come_is_said_once_where_it_is_listened_to(scene, raw, noted):
    with scene.kernel.bus.subscribe() as news:
        await scene.spawn("alice")
        await noted(60)
        await raw("alice").hello()
        await noted(60)
        said = [event for batch in news.take() for event in batch.events if isinstance(event, Notice)]
    words = "has not connected to the plane within 10 s: it has no aegis tools"
    assert said == [Notice(words, "warning", "mcp")]


async def test_an_agent_that_comes_in_time_is_not_marked(scene, raw, noted):
    await scene.spawn("alice")
    await raw("alice").hello()
    assert await noted(60) == {"alice": ""}


async def test_a_stranger_does_not_count_as_coming(scene, raw, noted):
    await scene.spawn("alice")
    assert (await raw("alice").post("initialize", authorization="Bearer x")).status_code == 401
    assert (await noted(11))["alice"]


async def test_a_closed_agent_is_not_waited_for(scene, noted):
    agent = await scene.spawn("alice")
    await scene.kernel.roster.close(agent)
    assert await noted(11) == {}
    assert agent.notes == {}
