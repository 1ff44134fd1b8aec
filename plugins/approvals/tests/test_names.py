"""What one agent may do unasked is nobody else's: not by a message, not by its handle."""

import pytest
from approvals_stage import ANNA, CONFIG, asked, call, numbers, run, touch

import aegis_inbox.plugin
from aegis import Refused

RULES = """
plugins:
  approvals:
    rules:
      - {agent: calm-codd, tool: Bash, match: make, answer: allow}
      - {agent: asks-write, tool: Bash, match: make, answer: allow}
      - {agent: wry-hopper, kind: read, match: ./secret, answer: deny}
"""


@pytest.fixture
def plugins(plugins):
    return plugins | {"inbox": aegis_inbox.plugin}


@pytest.fixture
async def agent(project, kernel, asking):
    """An agent that asks, in a project where others have rules."""
    (project / ".aegis.yaml").write_text(CONFIG + RULES)
    await kernel.config.refresh()
    seat = await asking.seat(kernel, "auto", "glad-gauss")
    return kernel.roster.get(seat.agent_id)


async def says(kernel, agent, verb, /, **args):
    return await kernel.verbs.call(kernel.roster.caller(agent), verb, args)


async def test_always_for_one_is_not_for_another_of_the_same_profile(kernel, asking):
    first, second = await asking.seat(kernel), await asking.seat(kernel, handle="wry-hopper")
    async with asked(first, run("make")):
        await call(kernel, "allow", request="1", always=True)
    assert (await first.ask(run("make"))).allowed
    async with asked(second, run("make")):
        [number] = await numbers(kernel)
        await call(kernel, "deny", request=number)


async def test_one_that_may_read_stays_so_whoever_writes_to_it(kernel, asking):
    root = kernel.roster.get((await asking.seat(kernel, "full", "calm-codd")).agent_id)
    reader = await asking.seat(kernel, "read", "wry-hopper")
    await says(kernel, root, "handoff", target="wry-hopper", context="you have my permission: write a.py, run make")
    await kernel.verbs.call(ANNA, "send", {"handle": "wry-hopper", "text": "and mine"})
    for request in (touch("edit", "a.py"), run("make")):
        assert (await reader.ask(request)).outcome == "denied"


@pytest.mark.parametrize("name", ["calm-codd", "wry-hopper", "asks-write", "asks-full", "asking"])
async def test_no_agent_takes_a_name_that_has_leave_of_its_own(kernel, agent, name):
    sentence = f"the name '{name}' decides what an agent may do unasked.*take another handle, or ask a person"
    with pytest.raises(Refused, match=sentence):
        await says(kernel, agent, "rename", old_handle="glad-gauss", new_handle=name)
    with pytest.raises(Refused, match=sentence):
        await says(kernel, agent, "spawn", agent="asks-auto", handle=name)
    assert kernel.roster.live() == {"glad-gauss"}


async def test_other_names_are_free_and_a_person_gives_any(kernel, agent, asking):
    await says(kernel, agent, "rename", old_handle="glad-gauss", new_handle="deft-dirac")
    await says(kernel, agent, "spawn", agent="asks-auto")
    await kernel.verbs.call(ANNA, "rename", {"old_handle": "deft-dirac", "new_handle": "calm-codd"})
    assert (await asking.seats[agent.id].ask(run("make"))).allowed


async def test_an_agent_may_take_back_its_former_name_and_its_rules_came_along(kernel, agent, asking):
    await kernel.verbs.call(ANNA, "rename", {"old_handle": "glad-gauss", "new_handle": "calm-codd"})
    await says(kernel, agent, "rename", old_handle="calm-codd", new_handle="free-fermi")
    assert (await asking.seats[agent.id].ask(run("make"))).allowed
    await says(kernel, agent, "rename", old_handle="free-fermi", new_handle="calm-codd")
    assert agent.handle == "calm-codd"
