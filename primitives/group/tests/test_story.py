"""Groups against what must be true: asked, answered late, renamed, moved, closed, dying, killed, in whatever order.

Two groups share a member from the beginning, and both are asked again and again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from group_stage import ANNA, MortalPlugin, Stage, settled
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import aegis_group.plugin
import aegis_inbox.plugin
import aegis_reducers.plugin
from aegis import AegisError, open_kernel
from aegis_group.store import Store
from aegis_group.values import Broadcast

pick = st.integers(0, 7)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), pick),
        st.tuples(st.just("ask"), pick),
        st.tuples(st.just("answer"), pick),
        st.tuples(st.just("answer"), pick),
        st.tuples(st.just("stray"), pick),
        st.tuples(st.just("wait_any"), pick),
        st.tuples(st.just("wait_any"), pick),
        st.tuples(st.just("wait_quorum"), pick),
        st.tuples(st.just("rename"), pick),
        st.tuples(st.just("rename_group"), pick),
        st.tuples(st.just("move"), pick, pick),
        st.tuples(st.just("spawn"), pick),
        st.tuples(st.just("die"), pick),
        st.tuples(st.just("interrupt"), pick),
        st.tuples(st.just("close"), pick),
        st.tuples(st.just("dissolve"), pick),
        st.tuples(st.just("stop")),
        st.tuples(st.just("kill")),
    ),
    min_size=12,
    max_size=30,
)


class Story:
    """The stage, however often it dies."""

    def __init__(self, root: Path) -> None:
        self.root, self.lives, self.asked, self.count = root, 0, [], 0
        self.echo = MortalPlugin()
        self.echo.driver.gated = True
        self.results: dict[str, list[Any]] = {}
        self.project = self._fresh()
        (self.project / ".aegis.yaml").write_text("agents:\n  sec: {provider: echo}\n  api: {provider: echo}\n")

    def _fresh(self) -> Path:
        self.lives += 1
        folder = self.root / f"life-{self.lives}"
        folder.mkdir()
        return folder

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        plugins = {"echo": self.echo, "group": aegis_group.plugin, "inbox": aegis_inbox.plugin}
        plugins["reducers"] = aegis_reducers.plugin
        async with open_kernel(self.project, plugins=plugins, environment={}) as kernel, trio.open_nursery() as waits:
            self.stage, self._waits = Stage(kernel, self.echo), waits
            if self.lives == 1 and not self.asked and not await self.groups():
                await self.stage.gather("sec", "api", group="one")
                await self.stage.gather("sec", "api", group="two")
                shared = (await self.stage.call("group status", group="one")).members["sec"]
                await self.stage.call("group add", group="two", handle=shared)
            else:
                await self.stage.call("reopen")
            yield
            waits.cancel_scope.cancel()

    async def groups(self) -> list[str]:
        return [view.name for view in await self.stage.call("group list")]

    def _agent(self, number: int) -> Any:
        agents = sorted(self.stage.kernel.roster, key=lambda agent: agent.id)
        return agents[number % len(agents)] if agents else None

    async def _group(self, number: int) -> str:
        names = await self.groups()
        return names[number % len(names)] if names else ""

    # -- what may happen ----------------------------------------------------------------------------------------

    async def ask(self, number: int) -> None:
        if name := await self._group(number):
            self.count += 1
            with suppress(AegisError):  # nobody in it takes mail
                made = await self.stage.ask(name, objective=f"question-{self.count}-", timeout=1000)
                self.asked.append(made)
                for _ in range(2):  # both must come back with the same
                    self._waits.start_soon(self._collect, made)

    async def _collect(self, made: str) -> None:
        result = await self.stage.call("group wait-all", group="any", broadcast_id=made)
        self.results.setdefault(made, []).append(result)

    async def answer(self, number: int) -> None:
        """Let an agent end the turn that it is in."""
        agent = self._agent(number)
        if agent and (session := self.echo.driver.sessions.get(agent.id)):
            session.gate.set()
            await settled()
            session.gate = trio.Event()

    async def stray(self, number: int) -> None:
        if (agent := self._agent(number)) and not agent.mailbox.closed:
            await self.stage.call("send", handle=agent.handle, text="something else")

    async def wait_any(self, number: int) -> None:
        await self._briefly("group wait-any", number, interrupt=bool(number % 2))

    async def wait_quorum(self, number: int) -> None:
        await self._briefly("group wait-quorum", number, count=2)

    async def _briefly(self, verb: str, number: int, **more: Any) -> None:
        if self.asked:
            with suppress(AegisError), trio.move_on_after(0.02):
                made = self.asked[number % len(self.asked)]
                await self.stage.call(verb, group="any", broadcast_id=made, **more)

    async def rename(self, number: int) -> None:
        if agent := self._agent(number):
            self.count += 1
            await self.stage.call("rename", old_handle=agent.handle, new_handle=f"agent-{self.count}")

    async def rename_group(self, number: int) -> None:
        if name := await self._group(number):
            self.count += 1
            await self.stage.call("group rename", old=name, new=f"group-{self.count}")

    async def move(self, number: int, other: int) -> None:
        here, there = await self._group(number), await self._group(other)
        if here and there:
            members = sorted((await self.stage.call("group status", group=here)).members.values())
            with suppress(AegisError):  # it is there already
                await self.stage.call(
                    "group move-member", handle=members[number % len(members)], from_group=here, to_group=there
                )

    async def spawn(self, number: int) -> None:
        if len(list(self.stage.kernel.roster)) < 8:
            await self.stage.call("group spawn", group=await self._group(number) or "again", profile="sec")

    async def die(self, number: int) -> None:
        if (agent := self._agent(number)) and (session := self.echo.driver.sessions.get(agent.id)):
            session.dies.set()  # type: ignore[attr-defined]

    async def interrupt(self, number: int) -> None:
        if agent := self._agent(number):
            await agent.interrupt()

    async def close(self, number: int) -> None:
        if len(list(self.stage.kernel.roster)) > 2 and (agent := self._agent(number)):
            await self.stage.kernel.roster.close(agent, "closed by the story")

    async def dissolve(self, number: int) -> None:
        if len(await self.groups()) > 1 and (name := await self._group(number)):
            await self.stage.call("group dissolve", group=name, close_members=bool(number % 2))

    # -- what must be true --------------------------------------------------------------------------------------

    async def check(self) -> None:
        alive = self.stage.kernel.roster.live()
        for view in await self.stage.call("group list", ANNA):
            assert view.members, f"{view.name} is empty, and still there"
            assert view.members.keys() == view.states.keys(), f"somebody in {view.name} is gone"
            assert set(view.members.values()) <= alive

    async def end(self) -> None:
        """Let everybody answer, and see what became of every question."""
        self.echo.driver.gated = False
        for session in self.echo.driver.sessions.values():
            session.gate.set()
        store, book = Store(self.stage.kernel), self.stage.kernel.ledger.book("group")
        for made in self.asked:
            with trio.fail_after(20):
                result = await self.stage.call("group wait-all", group="any", broadcast_id=made)
            self.check_end(store.broadcast(made))
            assert [r.kind for r in book.find(made)].count("broadcast_completed") == 1
            assert all(other.by_member == result.by_member for other in self.results.get(made, ()))

    def check_end(self, broadcast: Broadcast) -> None:
        assert broadcast.over and not broadcast.open
        mark = f"group:{broadcast.name}/broadcast:{broadcast.id}"
        for reply in broadcast.replies.values():
            if reply.status == "done":
                assert reply.text.count(mark) == 1, "an answer is of the turn that carried this question"
                assert broadcast.fields["objective"] in reply.text
            else:
                assert reply.status in ("silent", "errored", "canceled", "timeout", "lost")
                assert reply.status == "silent" or reply.reason
        orders = sorted(reply.order for reply in broadcast.replies.values() if reply.order)
        assert orders == list(range(1, len(orders) + 1)), "each answer has its own place"


async def _play(root: Path, script: list[tuple[Any, ...]]) -> None:
    story = Story(root)
    async with AsyncExitStack() as life:
        await life.enter_async_context(story.alive())
        for name, *arguments in script:
            if name in ("stop", "kill"):
                copy = story._fresh()  # noqa: SLF001
                if name == "kill":  # what is on disk now is what a kill leaves
                    shutil.copytree(story.project, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
                await life.aclose()
                story.results.clear()  # of two ends of one life only one came to be
                if name == "kill":
                    story.project = copy
                await life.enter_async_context(story.alive())
            else:
                await getattr(story, name)(*arguments)
            await settled()
            await story.check()
        await story.end()


@pytest.mark.timeout(180)
@given(script=steps)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain})
def test_whatever_happens_each_broadcast_ends_once_and_each_answer_is_its_own(script: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_play, Path(folder), script)
