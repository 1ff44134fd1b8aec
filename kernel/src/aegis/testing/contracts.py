"""Contracts: classes to inherit in a plugin's tests. One says what it is, and gets all the tests of its kind.

class TestCanvas(PluginContract, PrimitiveContract):
    plugin = "canvas"
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest
import trio

from aegis.app import Kernel, open_kernel
from aegis.callers import Caller
from aegis.events import Event, Outcome
from aegis.plugins import GROUP, ONLY
from aegis.project import FILE
from aegis.reducer import Answer, Reducer
from aegis.testing.driver_contract import DriverContract
from aegis.testing.echo import EchoPlugin
from aegis.testing.examples import EVENTS
from aegis.testing.plugin import Opened
from aegis.testing.registries import owners
from aegis.verb_definition import Verb

HEAVY = frozenset({
    "acp", "fastmcp", "h11", "httpx", "mcp", "prompt_toolkit", "pygments", "pytest", "rich", "starlette",
    "watchfiles",
})  # fmt: skip
QUIT = 2.0  # seconds that leaving a kernel may take, in every state

__all__ = ["DriverContract", "FrontendContract", "PluginContract", "PrimitiveContract", "ReducerContract"]


class PluginContract:
    """What every plugin keeps. `plugin` is the name of its entry point, `beside` the plugins it cannot do without."""

    plugin: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def plugins(self) -> dict[str, object]:
        """Itself and what it cannot do without, loaded through their entry points."""
        return {name: _point(name).load() for name in (self.plugin, *self.beside)}

    def test_its_entry_module_imports_nothing_heavy(self) -> None:
        module = _point(self.plugin).module
        code = f"import json, sys, {module}; print(json.dumps(sorted(n.partition('.')[0] for n in sys.modules)))"
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8", errors="replace"
        ).stdout
        assert set(json.loads(said)) & HEAVY == set()

    async def test_it_boots_with_nothing_but_the_kernel(self, kernel: Kernel) -> None:
        assert [found for found in kernel.plugins.report() if found.error] == []
        assert list(kernel.faults) == []

    async def test_its_verbs_are_documented_and_typed(self, kernel: Kernel) -> None:
        for verb in self._verbs(kernel):
            signature = inspect.signature(verb.run, eval_str=True)
            first, *others = signature.parameters.values()
            assert (first.name, first.annotation) == ("caller", Caller), verb.name
            assert [p.name for p in others if p.annotation is p.empty] == [], verb.name
            assert signature.return_annotation is not signature.empty, verb.name
            assert verb.help.endswith("."), f"{verb.name}: its help is a sentence"
            described = msgspec.json.decode(msgspec.json.encode(verb.describe()))  # it crosses sockets
            assert (described["plugin"], described["schema"]["type"]) == (self.plugin, "object")

    async def test_its_readme_lists_every_verb(self, kernel: Kernel) -> None:
        readme = (Path(inspect.getfile(type(self))).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
        names = [verb.name for verb in self._verbs(kernel)]
        assert [name for name in names if not re.search(rf"(`|aegis ){re.escape(name)}(?![\w-])", readme)] == []

    async def test_disabling_it_removes_every_verb(
        self, project: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ONLY, ",".join((self.plugin, *self.beside)))
        async with open_kernel(project, environment=environment) as kernel:
            assert self.plugin in kernel.plugins.names
        (project / FILE).write_text(f"plugins: {{disabled: [{self.plugin}]}}\n", encoding="utf-8")
        async with open_kernel(project, environment=environment) as kernel:
            assert self.plugin not in kernel.plugins.names
            assert self._verbs(kernel) == []

    async def test_it_leaves_nothing_behind_and_comes_back_whole(self, kernel: Kernel) -> None:
        await trio.testing.wait_all_tasks_blocked(0.05)
        there = owners(kernel)
        await kernel.plugins.leave(self.plugin)
        gone = owners(kernel)
        assert [name for whose, name in gone["tasks"] if whose == self.plugin] == [], "nothing of it runs on"
        await kernel.plugins.enter(self.plugin)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert owners(kernel) == there
        await kernel.plugins.leave(self.plugin)
        assert owners(kernel) == gone

    def _verbs(self, kernel: Kernel) -> list[Verb]:
        return [verb for verb in kernel.verbs if verb.plugin == self.plugin]


def _point(name: str) -> Any:
    [point] = entry_points(group=GROUP, name=name)
    return point


class PrimitiveContract:
    """What every primitive keeps: what was done is there after a crash, and mail finds an agent that was renamed.

    `act` does something worth remembering, `state` says what is remembered; `write` makes the primitive write to an
    agent, `writes` is False for one that never does. The kernel of these tests has the profile `echo`.
    """

    writes: ClassVar[bool] = True

    async def act(self, kernel: Kernel) -> None:
        """Do something that must survive."""
        raise NotImplementedError

    async def state(self, kernel: Kernel) -> object:
        """Return what must be the same after a restart."""
        raise NotImplementedError

    async def write(self, kernel: Kernel, handle: str) -> None:
        """Make the primitive send a message to the agent."""
        raise NotImplementedError

    async def test_what_was_done_is_there_after_a_crash(
        self, plugins: Mapping[str, object], project: Path, tmp_path: Path, kernel_with: Opened
    ) -> None:
        crashed = tmp_path / "crashed"
        async with kernel_with(echo=EchoPlugin(), **plugins) as kernel:
            await self.act(kernel)
            before = await self.state(kernel)
            shutil.copytree(project, crashed, ignore=shutil.ignore_patterns("*.sock"))  # what a kill would leave
        async with kernel_with(echo=EchoPlugin(), **plugins) as kernel:
            assert await self.state(kernel) == before, "after a planned stop"
        async with open_kernel(crashed, plugins={"echo": EchoPlugin(), **plugins}, environment={}) as kernel:
            assert await self.state(kernel) == before, "after a crash"

    async def test_a_rename_loses_no_mail(self, plugins: Mapping[str, object], kernel_with: Opened) -> None:
        if not self.writes:
            return
        echo = EchoPlugin()
        async with kernel_with(echo=echo, **plugins) as kernel:
            agent = await kernel.roster.spawn("echo", "old-name")
            session = echo.driver.sessions[agent.id]
            session.gate = trio.Event()  # the first message keeps it busy, the second has to wait
            await self.write(kernel, "old-name")
            await trio.testing.wait_all_tasks_blocked(0.02)
            await self.write(kernel, "old-name")
            await kernel.roster.rename(agent, "new-name")
            letters = [letter.envelope.id for letter in kernel.post.letters(agent.id)]
            session.gate.set()
            with trio.fail_after(10):
                for letter in letters:
                    assert (await kernel.post.wait_turn(letter)).outcome == "completed"
            assert len(letters) == 2
            assert all(any(letter in prompt for prompt in session.heard) for letter in letters)

    async def test_it_stops_when_it_is_cancelled(self, plugins: Mapping[str, object], kernel_with: Opened) -> None:
        async with kernel_with(echo=EchoPlugin(), **plugins) as kernel:
            await self.act(kernel)
            left = trio.current_time()
        assert trio.current_time() - left < QUIT


class FrontendContract:
    """What every frontend keeps. `render` draws an event; `silent` are the kinds of which it draws nothing."""

    silent: ClassVar[frozenset[str]] = frozenset()

    def render(self, event: Event) -> object:
        """Return what the frontend shows of the event; nothing, in whatever form, is false."""
        raise NotImplementedError

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_it_renders_every_kind_of_event(self, event: Event) -> None:
        assert bool(self.render(event)) is (type(event).__name__ not in self.silent)

    @pytest.mark.parametrize("kind", [type(event) for event in EVENTS])
    def test_it_renders_what_is_empty(self, kind: type[Event]) -> None:
        full = next(event for event in EVENTS if type(event) is kind)
        needed = [field.name for field in msgspec.structs.fields(kind) if field.required]
        self.render(kind(**{name: _blank(getattr(full, name)) for name in needed}))


def _blank(value: Any) -> Any:
    """Return the emptiest value of the same kind; an agent's face and an envelope are always whole."""
    return value if isinstance(value, dict) or value in get_args(Outcome) else type(value)()


class ReducerContract:
    """What every reducer keeps: it is pure, and total. Override `reducer`."""

    ANSWERS = (
        Answer("calm-codd", "yes", seconds=1.5, cost_usd=0.1),
        Answer("lucid-knuth", "", "failed", "it died"),
        Answer("wry-hopper", "yes"),
    )

    @pytest.fixture
    def reducer(self) -> Reducer:
        """The reducer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("count", [0, 1, 2, 3])
    def test_it_is_total_and_its_value_is_json(self, reducer: Reducer, count: int) -> None:
        json.dumps(reducer.fold(self.ANSWERS[:count]))

    def test_it_is_pure(self, reducer: Reducer) -> None:
        answers = list(self.ANSWERS)
        assert reducer.fold(answers) == reducer.fold(tuple(answers))
        assert answers == list(self.ANSWERS)
