"""Plugins enter and leave while the kernel runs: whatever came and went, all is as if it had just started."""

from __future__ import annotations

import random
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from fakedriver import FakeDriver, Plugin, work

from aegis import Caller, Registry, hookimpl, hookspec, verb
from aegis.app import Kernel, open_kernel
from aegis.errors import AegisError, ConfigError, NotFound, Refused
from aegis.events import ConfigChanged, PluginsChanged, VerbsChanged
from aegis.plugins import GROUP
from aegis.testing.plugin import Opened
from aegis.testing.registries import owners
from aegis.testing.seeds import seed

SAM = Caller("human", "sam")
POINTS = {point.name: point for point in entry_points(group=GROUP)}


class Everything:
    """A plugin that registers in every way there is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = trio.Event()

    @hookimpl
    def aegis_settings(self) -> dict[str, Any]:
        return {self.name: dict[str, int]}

    @hookimpl
    def aegis_hookspecs(self) -> object:
        def hook() -> list[Any]:  # type: ignore[empty-body]
            """Return shapes."""

        return SimpleNamespace(**{f"aegis_{self.name}_shapes": hookspec(hook)})

    @hookimpl
    def aegis_drivers(self) -> list[Any]:
        return [FakeDriver(f"{self.name}-cli")]

    @hookimpl
    def aegis_reducers(self) -> list[Any]:
        return [SimpleNamespace(name=f"{self.name}-fold", fold=list)]

    @hookimpl
    def aegis_interceptors(self, kernel: Kernel) -> list[Any]:
        async def before_verb(call: Any) -> None:
            pass

        return [SimpleNamespace(name=self.name, before_verb=before_verb)]

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        plugin, name = self, self.name
        shapes: Registry[Any] = Registry(f"{name} shape")

        async def more() -> None:
            await trio.sleep_forever()

        class Thing:
            def __init__(self) -> None:
                self.name = "thing"
                kernel.verbs.complete_with(name, lambda: [name])
                kernel.ledger.on_commit(lambda records: None)
                kernel.plugins.collect(f"aegis_{name}_shapes", shapes)
                kernel.supervisor.start(f"{name}.more", more)

            @verb(f"{name} begin")
            async def begin(self, caller: Caller, what: str = "") -> str:
                """Begin something that goes on."""
                kernel.supervisor.start(f"{name}.begun", more)
                kernel.interceptors.add(SimpleNamespace(name=f"{name} late", after_verb=more))
                return name

            async def run(self) -> None:
                kernel.verbs.complete_with(f"{name}-late", list)
                try:
                    await trio.sleep_forever()
                finally:
                    plugin.ended.set()

        return [Thing()]


async def test_all_that_a_plugin_added_goes_with_it(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before = owners(kernel)
        plugin = Everything("acme")
        with kernel.bus.subscribe() as news:
            await kernel.plugins.enter("acme", plugin)
            await kernel.verbs.call(SAM, "acme begin")
            await trio.testing.wait_all_tasks_blocked()
            here = owners(kernel)
            changed = {what for what in here if here[what] != before.get(what)}
            assert changed >= {
                "verbs", "tools", "completers", "reducers", "drivers", "sections", "hooks", "collected hooks",
                "interceptors", "ledger listeners", "tasks", "plugins",
            }  # fmt: skip
            assert ("acme", "acme.begun") in here["tasks"]
            await kernel.plugins.leave("acme")
            assert plugin.ended.is_set()
            told = [type(e) for batch in news.take() for e in batch.events]
        assert owners(kernel) == before
        assert told.count(PluginsChanged) == 2 and told.count(VerbsChanged) == 2 and told.count(ConfigChanged) == 2
        with pytest.raises(NotFound, match="there is no verb 'acme begin'"):
            await kernel.verbs.call(SAM, "acme begin")
        with pytest.raises(NotFound, match="'acme' is not here"):
            await kernel.plugins.leave("acme")


async def test_a_plugin_enters_once_and_only_if_there_is_one(kernel_with: Opened) -> None:
    async with kernel_with(acme=Everything("acme")) as kernel:
        with pytest.raises(Refused, match="'acme' is here already"):
            await kernel.plugins.enter("acme")
        with pytest.raises(NotFound, match="'ghost' cannot be used: it is not installed"):
            await kernel.plugins.enter("ghost")


class Clash:
    """A plugin that wants one thing that is another's."""

    def __init__(self, **offers: Any) -> None:
        for hook, value in offers.items():
            setattr(self, hook, hookimpl(value))


def _takes_verb(self: Any, caller: Caller) -> Any: ...


CLASHES: dict[str, tuple[str, Any]] = {
    "driver": ("driver 'acme-cli'", Clash(aegis_drivers=lambda: [FakeDriver("acme-cli")])),
    "section": ("section 'acme'", Clash(aegis_settings=lambda: {"acme": dict[str, str]})),
    "reducer": (
        "reducer 'acme-fold'",
        Clash(aegis_reducers=lambda: [SimpleNamespace(name="acme-fold", fold=list)]),
    ),
    "hook": (
        "hook 'aegis_acme_shapes'",
        Clash(aegis_hookspecs=lambda: SimpleNamespace(aegis_acme_shapes=hookspec(lambda: None))),
    ),
    "the kernel's hook": (
        "hook 'aegis_drivers'",
        Clash(aegis_hookspecs=lambda: SimpleNamespace(aegis_drivers=hookspec(lambda: None))),
    ),
}


@pytest.mark.parametrize("what", CLASHES)
async def test_the_second_who_offers_a_name_is_refused_whole(kernel_with: Opened, what: str) -> None:
    sentence, second = CLASHES[what]
    async with kernel_with(acme=Everything("acme")) as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before = owners(kernel)
        with pytest.raises(
            AegisError, match=rf"plugins '(acme|kernel)' and 'other' both offer the {sentence}; disable"
        ):
            await kernel.plugins.enter("other", second)
        assert owners(kernel) == before
    async with kernel_with(acme=Everything("acme"), other=second) as kernel:
        assert kernel.plugins.names == ["acme"]
        [row] = [row for row in kernel.plugins.report() if row.name == "other"]
        assert row.state == "failed" and sentence in row.error
        await trio.testing.wait_all_tasks_blocked()
        assert owners(kernel) == before


async def test_a_completer_has_one_owner(kernel_with: Opened) -> None:
    def also(kernel: Kernel) -> list[Any]:
        kernel.verbs.complete_with("handle", list)
        return []

    async with kernel_with(other=Clash(aegis_primitives=also)) as kernel:
        [fault] = kernel.faults
        assert "plugins 'kernel' and 'other' both offer the completer 'handle'" in fault.error


# -- what plugins publish -------------------------------------------------------------------------------------------


def _shape(name: str) -> list[Any]:
    return [SimpleNamespace(name=name)]


class Shapes:
    """Publishes the hook `aegis_shapes` and keeps what others return from it."""

    def __init__(self) -> None:
        self.known: Registry[Any] = Registry("shape")

    @hookimpl
    def aegis_hookspecs(self) -> object:
        return SimpleNamespace(aegis_shapes=hookspec(lambda: None))

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        self.known = Registry("shape")
        kernel.plugins.collect("aegis_shapes", self.known)
        return []


class Offers:
    def __init__(self, *names: str, optional: bool = True) -> None:
        self.aegis_shapes = hookimpl(lambda: [s for n in names for s in _shape(n)], optionalhook=optional)


async def test_a_plugin_publishes_a_hook_of_its_own(kernel_with: Opened) -> None:
    shapes = Shapes()
    async with kernel_with(a=Offers("cube"), shapes=shapes, z=Offers("ball")) as kernel:
        assert shapes.known.owners() == {"ball": "z", "cube": "a"}
        await kernel.plugins.enter("m", Offers("cone"))
        assert shapes.known.owners() == {"ball": "z", "cone": "m", "cube": "a"}
        await kernel.plugins.leave("a")
        assert sorted(shapes.known) == ["ball", "cone"]
        with pytest.raises(AegisError, match="plugins 'm' and 'n' both offer the shape 'cone'"):
            await kernel.plugins.enter("n", Offers("egg", "cone"))
        assert sorted(shapes.known) == ["ball", "cone"]
        await kernel.plugins.leave("shapes")
        await kernel.plugins.enter("a")  # it does without
        await kernel.plugins.enter("shapes")
        assert shapes.known.owners() == {"ball": "z", "cone": "m", "cube": "a"}
        assert {fault.source for fault in kernel.faults} == {"n"}


async def test_a_hook_that_nobody_publishes_is_an_error_unless_it_is_optional(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        await kernel.plugins.enter("a", Offers("cube"))
        with pytest.raises(AegisError, match="'aegis_shapes', a hook that nobody here publishes"):
            await kernel.plugins.enter("b", Offers("ball", optional=False))
        assert kernel.plugins.names == ["a"]


# -- agents without their driver ------------------------------------------------------------------------------------


async def test_agents_whose_driver_leaves_wait_with_their_mail_until_it_enters(kernel_with: Opened) -> None:
    driver = FakeDriver("same")
    plugin = Plugin(drivers=[driver])
    async with kernel_with(cli=plugin) as kernel:
        ann = await kernel.roster.spawn("same", "ann")
        await kernel.plugins.leave("cli")
        assert kernel.roster.live() == set()
        assert kernel.roster.absent == {"ann": "its provider 'same' is not here"}
        receipt = await kernel.post.deliver(kernel.post.envelope("human:sam", ann.id, "hello"))
        assert receipt.state == "accepted"
        with pytest.raises(NotFound, match="'same'"):
            await kernel.roster.spawn("same", "bob")
        await kernel.plugins.enter("cli")
        with pytest.raises(Refused, match="'ann' is taken"):
            await kernel.roster.spawn("same", "ann")
        assert kernel.roster.absent == {}
        with trio.fail_after(10):
            ended = await kernel.post.wait_turn(receipt.id)
        assert ended.outcome == "completed"
        assert kernel.roster.find("ann").id == ann.id


async def test_a_turn_that_ends_as_its_driver_leaves_says_so_and_its_agent_cannot_sleep(kernel_with: Opened) -> None:
    async with kernel_with(cli=Plugin(drivers=[FakeDriver("same", work)])) as kernel:
        ann = await kernel.roster.spawn("same", "ann")
        receipt = await kernel.post.deliver(kernel.post.envelope("human:sam", ann.id, "hello"))
        while not (ann.turn and ann.turn.begun.is_set()):
            await trio.testing.wait_all_tasks_blocked()
        await kernel.plugins.leave("cli")
        ended = await kernel.post.wait_turn(receipt.id)
        assert (ended.outcome, ended.reason) == ("interrupted", "its provider 'same' is not here")
        with trio.fail_after(5), pytest.raises(Refused, match="ann cannot be put to sleep now: it is not here"):
            await ann.sleep()


# -- settings without their plugin ----------------------------------------------------------------------------------


async def test_settings_of_a_plugin_that_is_gone_are_a_word(kernel_with: Opened, project: Path) -> None:
    (project / ".aegis.yaml").write_text("acme: {a: 1}\n")
    async with kernel_with(acme=Everything("acme")) as kernel:
        assert kernel.config.remarks == []
        await kernel.plugins.leave("acme")
        [remark] = kernel.config.remarks
        assert ":1: acme: no plugin here owns this section" in remark
        await kernel.plugins.enter("acme")
        assert (kernel.config.remarks, kernel.config.section("acme")) == ([], {"a": 1})
    async with kernel_with() as kernel:
        assert kernel.config.remarks == [remark]
        assert kernel.snapshot()["config"] == {"error": "", "remarks": [remark]}


async def test_a_plugin_whose_own_section_is_wrong_does_not_enter(kernel_with: Opened, project: Path) -> None:
    (project / ".aegis.yaml").write_text("acme: {a: many}\n")
    async with kernel_with() as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before = owners(kernel)
        with pytest.raises(AegisError, match=r":1: acme\.a: .*integer"):
            await kernel.plugins.enter("acme", Everything("acme"))
        assert owners(kernel) == before


# -- at a bad moment ------------------------------------------------------------------------------------------------


class Lingers(Everything):
    """Does not end before it is let go, and calls on `kernel` whatever it is told to, in its task or in its verb."""

    def __init__(self, name: str = "acme") -> None:
        super().__init__(name)
        self.let, self.do = trio.Event(), trio.Event()
        self.act: Any = None

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        plugin = self

        class Slow:
            name = "slow"

            @verb("slow act")
            async def slow_act(self, caller: Caller) -> str:
                """Do it when told to."""
                await plugin.do.wait()
                return str(await plugin.act())

            async def run(self) -> None:
                try:
                    await plugin.do.wait()
                    await plugin.act()
                finally:
                    with trio.CancelScope(shield=True):
                        await plugin.let.wait()

        return [*super().aegis_primitives(kernel), Slow()]


async def nothing() -> None:
    pass


ADDS: dict[str, Any] = {
    "completer": lambda kernel: kernel.verbs.complete_with("more", list),
    "carrier": lambda kernel: kernel.post.carry("post"),
    "interceptor": lambda kernel: kernel.interceptors.add(SimpleNamespace(name="late", after_verb=nothing)),
    "task": lambda kernel: kernel.supervisor.start("late", trio.sleep_forever),
    "listener": lambda kernel: kernel.ledger.on_commit(lambda records: None),
}


@pytest.mark.parametrize("what", ADDS)
async def test_a_verb_that_still_runs_when_its_plugin_has_left_adds_nothing(kernel_with: Opened, what: str) -> None:
    async with kernel_with() as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before, plugin = owners(kernel), Lingers()
        plugin.let.set()

        async def add() -> None:
            ADDS[what](kernel)

        async def call() -> None:
            with pytest.raises(Refused, match="the plugin 'acme' has left; it can add nothing"):
                await kernel.verbs.call(SAM, "slow act")

        plugin.act = add
        await kernel.plugins.enter("acme", plugin)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            await kernel.plugins.leave("acme")
            await kernel.plugins.enter("acme", Everything("acme"))  # another life of it is not this one's
            plugin.do.set()
        await kernel.plugins.leave("acme")
        assert owners(kernel) == before


async def test_a_plugin_leaves_whole_by_its_own_task(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before, plugin = owners(kernel), Lingers()
        plugin.act = partial(kernel.plugins.leave, "acme")
        plugin.let.set()
        await kernel.plugins.enter("acme", plugin)
        plugin.do.set()
        await plugin.ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert owners(kernel) == before


async def test_coming_and_going_is_done_whole_though_its_caller_is_cancelled(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        await trio.testing.wait_all_tasks_blocked()
        before, plugin, up = owners(kernel), Lingers(), trio.Event()

        class Slow:
            name = "window"

            async def run(self, started: trio.Event) -> None:
                await up.wait()
                started.set()
                await trio.sleep_forever()

        async def give_up(change: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(change)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()

        plugin.aegis_frontends = hookimpl(lambda: [Slow()])  # type: ignore[attr-defined]
        await give_up(partial(kernel.plugins.enter, "acme", plugin))
        up.set()
        await trio.testing.wait_all_tasks_blocked()
        assert ("acme", "acme.window") in owners(kernel)["tasks"]
        with pytest.raises(Refused, match="here already"):
            await kernel.plugins.enter("acme")
        await give_up(partial(kernel.plugins.leave, "acme"))
        plugin.let.set()
        await trio.testing.wait_all_tasks_blocked()
        assert owners(kernel) == before


async def test_no_agent_starts_with_a_driver_that_is_leaving(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        plugin = Lingers()
        await kernel.plugins.enter("acme", plugin)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.plugins.leave, "acme")
            await trio.testing.wait_all_tasks_blocked()
            assert "acme" in kernel.plugins.names, "it is still ending"
            with pytest.raises(NotFound, match="'acme-cli'"):
                await kernel.roster.spawn("acme-cli", "ann")
            plugin.let.set()
        assert kernel.roster.live() == set()


async def test_tasks_of_one_name_all_end_with_their_plugin_and_another_may_not_use_it(kernel_with: Opened) -> None:
    ended: list[int] = []

    async def run(number: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(number)

    def two(kernel: Kernel) -> list[Any]:
        for number in (1, 2):
            kernel.supervisor.start("same", partial(run, number))
        return []

    async with kernel_with(acme=Clash(aegis_primitives=two)) as kernel:
        with pytest.raises(AegisError, match="plugins 'acme' and 'other' both run a task 'same'"):
            await kernel.plugins.enter("other", Clash(aegis_primitives=two))
        await trio.testing.wait_all_tasks_blocked()
        assert ended == []
        await kernel.plugins.leave("acme")
        assert sorted(ended) == [1, 2]


# -- the installed ones ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
async def test_any_coming_and_going_ends_as_a_fresh_start(tmp_path: Path, environment: dict[str, str]) -> None:
    """Random stories over all installed plugins: after each, every registry is what a start with the same gives."""
    dice = random.Random(seed("AEGIS_ENTER_SEED"))
    plugins = {name: point.load() for name, point in POINTS.items()}
    for story in range(4):
        begin = {name: plugin for name, plugin in plugins.items() if dice.random() < 0.5}
        root = tmp_path / f"story{story}"
        root.mkdir()
        async with open_kernel(root, plugins=begin, environment=environment) as kernel:
            for _ in range(24):
                name = dice.choice(sorted(plugins))
                if name in kernel.plugins.names:
                    await kernel.plugins.leave(name)
                else:
                    await kernel.plugins.enter(name, plugins[name])
            assert not kernel.faults, list(kernel.faults)
            last = {name: plugins[name] for name in kernel.plugins.names}
            with trio.fail_after(20):
                await trio.testing.wait_all_tasks_blocked(0.05)
            found = owners(kernel)
        fresh = tmp_path / f"fresh{story}"
        fresh.mkdir()
        async with open_kernel(fresh, plugins=last, environment=environment) as kernel:
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert found == owners(kernel), sorted(last)


# -- while the files are wrong --------------------------------------------------------------------------------------


async def test_coming_and_going_does_not_make_a_wrong_file_right(kernel_with: Opened, project: Path) -> None:
    (project / ".aegis.yaml").write_text("acme: {a: 1}\n")
    async with kernel_with(acme=Everything("acme")) as kernel:
        (project / ".aegis.yaml").write_text("acme: [\n")
        with pytest.raises(ConfigError) as wrong:
            await kernel.config.refresh()
        for change in (kernel.plugins.leave, kernel.plugins.enter):
            await change("acme")
            assert kernel.snapshot()["config"]["error"] == str(wrong.value)
        assert kernel.config.section("acme") == {"a": 1}


async def test_a_profile_whose_driver_leaves_while_an_overlay_is_wrong_is_refused_by_name(
    kernel_with: Opened, project: Path
) -> None:
    (project / ".aegis.yaml").write_text("agents: {worker: {provider: same}}\n")
    async with kernel_with(cli=Plugin(drivers=[FakeDriver("same")])) as kernel:
        (project / ".aegis" / "agents").mkdir()
        (project / ".aegis" / "agents" / "x.yaml").write_text("provider: [\n")
        await kernel.plugins.leave("cli")
        with pytest.raises(NotFound, match="'worker' cannot be used: there is no provider 'same' any more"):
            await kernel.roster.spawn("worker", "ann")
