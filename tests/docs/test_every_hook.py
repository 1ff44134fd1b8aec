"""The examples of the hooks' page: there is one of everything, and all of them work."""

import importlib.util
from collections import Counter

import pytest
import trio
import workspace
from hookpages import EXAMPLE, Examples, facts, published, specs

import aegis_environment.plugin
import aegis_group.plugin
import aegis_queue.plugin
import aegis_records.plugin
import aegis_workflow.plugin
from aegis import Caller, Command, PermissionRequest, Refused, Work, hookspecs, open_kernel
from aegis.interceptors import POINTS

ANNA = Caller("human", "anna")


@pytest.fixture
def example():
    """Load the plugin, fresh."""
    spec = importlib.util.spec_from_file_location("every_hook", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def seen(example):
    """Count what the policy is asked: its points are wrapped, and do what they do."""
    counted = Counter()

    def wrapped(point, method):
        async def counting(*args):
            counted[point] += 1
            return await method(*args)

        return counting

    for point in POINTS & vars(example.Policy).keys():
        setattr(example.Policy, point, wrapped(point, getattr(example.Policy, point)))
    return counted


@pytest.fixture
async def kernel(example, tmp_path, seen):
    """Enter a kernel with the example and the plugins that publish hooks."""
    plugins = {"group": aegis_group.plugin, "queue": aegis_queue.plugin, "records": aegis_records.plugin}
    plugins |= {"workflow": aegis_workflow.plugin, "environment": aegis_environment.plugin, "example": example}
    async with open_kernel(tmp_path, plugins=plugins, environment={}) as kernel:
        yield kernel


def test_every_hook_and_every_point_has_an_example_that_says_when():
    plugins = [(m.folder.name, importlib.import_module(f"{m.package}.plugin")) for m in workspace.plugins()]
    every = [*specs([hookspecs]), *(found for several in published(plugins).values() for found in several)]
    examples = Examples(EXAMPLE)
    assert [name for name, _ in every if "**When**" not in examples.hook(name)] == []
    assert examples.points.keys() == POINTS
    assert [
        n for n, node in examples.points.items() if "**When**" not in facts(node) or "**Gets**" not in facts(node)
    ] == []


async def test_what_the_hooks_offer_is_there(kernel, example):
    assert kernel.config.section("plugins.example").greeting == "hello"
    assert "parrot" in kernel.config.names()
    assert await kernel.verbs.call(ANNA, "example greet", {"name": ""}) == "hello stranger, says human:anna"
    assert "longest" in kernel.reducers
    assert "welcome" in str(await kernel.verbs.call(ANNA, "workflow list"))
    assert [console.name for console in example.aegis_consoles()] == ["listing"]
    assert [f.error for f in kernel.faults] == []


async def test_what_the_hooks_offer_goes_with_the_plugin(kernel):
    def owned():
        registries = kernel.plugins.registries()
        return {name for registry in registries for name in registry if registry.owners()[name] == "example"}

    ours = {"plugins.example", "parrot", "longest", "welcome", "elsewhere", "greetings", "vault", "example greet"}
    assert ours <= owned()
    await kernel.plugins.leave("example")
    assert owned() == set()


async def test_an_agents_life_passes_the_points(kernel, seen):
    agent = await kernel.roster.spawn("parrot", "polly")
    receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, "which colour?"))
    ended = await kernel.post.wait_turn(receipt.id)
    assert ended.reply.endswith("which color?")
    await kernel.roster.close(agent)
    for point in ("before_open", "agent_started", "before_turn", "after_turn", "agent_closed"):
        assert seen[point] == 1, point


async def test_the_policy_can_hold_and_forbid(example, tmp_path, seen):
    (tmp_path / ".aegis.yaml").write_text("plugins: {example: {closed: true}}\n")
    async with open_kernel(tmp_path, plugins={"example": example}, environment={}) as kernel:
        work = Work(kind="task", id="1", place="q", profile="parrot", caller=ANNA)
        held = await kernel.interceptors.admit(work)
        assert held.reason == "closed for now" and seen["release"] == 1
        with pytest.raises(Refused, match="no parrot is started"):
            await kernel.interceptors.spawn(ANNA, "parrot", "polly")


async def test_what_the_points_answer(kernel, tmp_path):
    agent = await kernel.roster.spawn("parrot", "polly")
    seat, points = agent.seat, kernel.interceptors
    assert "Be brief." in seat.primer and seat.env["EXAMPLE"] == "1"
    assert (await points.launch(seat, Command(["true"], {}, tmp_path))).argv == ["nice", "true"]
    assert (await points.permission(seat, PermissionRequest("1", "WebFetch"))).reason == "not in this project"
    work = Work(kind="task", id="1", place="q", profile="parrot", caller=ANNA)
    assert await points.admit(work) is None
    assert await points.spawn(ANNA, "parrot", "polly") is False
    with pytest.raises(Refused, match="nobody is the boss"):
        await kernel.roster.rename(agent, "boss")


async def test_the_listing_lists(kernel, example, capsys):
    await kernel.roster.spawn("parrot", "polly")

    class Here:
        async def snapshot(self):
            return kernel.snapshot()

    assert await example.Listing().attach(Here()) == 0
    assert capsys.readouterr().out == "polly\n"


def test_the_reducer_is_total(example):
    from aegis import Answer  # noqa: PLC0415

    assert example.Longest().fold([]) == ""
    assert example.Longest().fold([Answer("a", "ab"), Answer("b", "abc")]) == "abc"


async def test_services_run(kernel):
    await trio.testing.wait_all_tasks_blocked()
    assert {"example.greeter", "example.counter"} <= set(kernel.supervisor.children)
