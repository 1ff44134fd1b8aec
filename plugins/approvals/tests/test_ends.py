"""Whatever happens in whatever order, a request ends once, as everybody was told."""

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from approvals_stage import ANNA, BOB, CONFIG, Asking, call, until
from hypothesis import given, settings
from hypothesis import strategies as st

import aegis_approvals.plugin
from aegis import ConfigError, PermissionRequest, Refused, open_kernel
from aegis.testing.clock import TestClock

COMMANDS = ("ls", "make", "rm x")
HANDLES = ("calm-codd", "wry-hopper")
RULE = "    - {{agent: {}, tool: Bash, match: {}, answer: {}}}\n"

asks = st.tuples(st.just("ask"), st.sampled_from(HANDLES), st.sampled_from(COMMANDS))
answers = st.tuples(
    st.just("answer"),
    st.sampled_from((ANNA, BOB)),
    st.sampled_from(("allow", "deny")),
    st.integers(1, 6),
    st.booleans(),
)
steps = st.one_of(
    asks,
    asks,
    answers,
    answers,
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("revoke"), st.integers(0, 2)),
    st.tuples(
        st.just("by hand"), st.sampled_from(HANDLES), st.sampled_from(COMMANDS), st.sampled_from(("allow", "deny"))
    ),
    st.tuples(st.just("by a fool")),
    st.tuples(st.just("crash")),
)


class Story:
    """Some agents that ask, some people that answer, and what each of them was told."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.count = 0
        self.busy: dict[str, set[int]] = {}
        self.asked: dict[str, trio.CancelScope] = {}  # by title, while the agent waits
        self.told: dict[str, str] = {}  # how a request ended, as its agent heard it
        self.said: list[tuple[str, str]] = []  # the number of a request and how it ended, as a person heard it

    async def run(self, folder: Path, batches: list) -> None:
        """Play the batches, the steps of each at the same time; a crash goes on in what a kill would have left."""
        left = list(batches)
        while left:
            folder = await self._life(folder, left)
        await self._life(folder, left)  # once more, so that what a crash left open is cancelled

    async def _life(self, folder: Path, batches: list) -> Path:
        plugins = {"asking": Asking(), "approvals": aegis_approvals.plugin}
        async with open_kernel(folder, plugins=plugins, clock=self.clock, environment={}, clean=True) as self.kernel:
            for handle in HANDLES:
                await self.kernel.roster.spawn("asks-auto", handle)
            await until(lambda: self._records("asked") == self._records("ended"))
            await self._check()
            left = folder.with_name(f"{folder.name}+")
            async with trio.open_nursery() as self.agents:
                while batches and not left.exists():
                    batch = batches.pop(0)
                    async with trio.open_nursery() as nursery:
                        for step in batch:
                            nursery.start_soon(self._step, *step)
                    await self._quiet()
                    if ("crash",) in batch:
                        shutil.copytree(folder, left, ignore=shutil.ignore_patterns("*.sock"))
                heard = {title: how for title, how in self.told.items() if title not in self.asked}
                self.agents.cancel_scope.cancel()
            await self._check()
        if left.exists():
            self.told = heard  # what the dying one said after the copy was made, nobody heard
            return left
        return folder

    async def _step(self, what: str, *with_: object) -> None:
        with suppress(Refused, ConfigError):
            await getattr(self, f"_{what.replace(' ', '_')}")(*with_)

    async def _ask(self, handle: str, command: str) -> None:
        self.count += 1
        title = f"t{self.count}"
        agent = self.kernel.roster.find(handle)
        busy = self.busy.setdefault(handle, set())
        own = min(set(range(len(busy) + 1)) - busy)  # the provider's id: used again, and by others at the same time
        busy.add(own)
        request = PermissionRequest(f"call-{own}", "Bash", "execute", title, {"command": command})
        scope = self.asked[title] = trio.CancelScope()

        async def wait() -> None:
            self.told[title] = "cancelled"
            try:
                with scope:
                    self.told[title] = (await agent.seat.ask(request)).outcome
            finally:
                busy.discard(own)
                del self.asked[title]

        self.agents.start_soon(wait)

    async def _answer(self, who, verb: str, number: int, always: bool) -> None:
        said = await call(self.kernel, verb, request=str(number), always=always, by=who)
        outcome = "allowed" if verb == "allow" else "denied"
        assert f"is {outcome}" in said
        self.said.append((str(number), outcome))

    async def _cancel(self, which: int) -> None:
        if scopes := list(self.asked.values()):
            scopes[which % len(scopes)].cancel()

    async def _expire(self) -> None:
        self.clock.jump(3601)

    async def _revoke(self, which: int) -> None:
        if rules := await call(self.kernel, "rules"):
            await call(self.kernel, "revoke", rule=rules[which % len(rules)].id)

    async def _by_hand(self, handle: str, command: str, answer: str) -> None:
        head = f"{CONFIG}plugins:\n  approvals:\n    rules:\n"
        (self.kernel.project.root / ".aegis.yaml").write_text(head + RULE.format(handle, command, answer))
        self._take()

    def _take(self) -> None:
        """Have the file in force at once: nothing else of the batch happens between the writing and the reading."""
        self.kernel.config.edit(lambda document: None)

    async def _by_a_fool(self) -> None:
        file, rules = self.kernel.project.root / ".aegis.yaml", await call(self.kernel, "rules")
        good = file.read_text()
        file.write_text(good + "nonsense: [\n")
        with suppress(ConfigError):
            self._take()
        assert await call(self.kernel, "rules") == rules, "the last good ones hold"
        file.write_text(good)

    async def _crash(self) -> None:
        """Happens once the batch is done."""

    async def _quiet(self) -> None:
        """Wait until each request that has not ended is in the list."""
        while {row.title for row in await call(self.kernel, "list")} != set(self.asked):
            await trio.testing.wait_all_tasks_blocked()

    def _records(self, kind: str) -> Counter:
        return Counter(r.key for r in self.kernel.ledger.book("approvals").newest(kind, 1000))

    async def _check(self) -> None:
        """Every request was asked once, ended once, and everybody was told the same."""
        book = self.kernel.ledger.book("approvals")
        asked, ended = self._records("asked"), self._records("ended")
        assert set(asked.values()) | set(ended.values()) <= {1}
        assert asked.keys() == ended.keys()
        assert await call(self.kernel, "list") == []
        outcomes = {r.key: r.data["outcome"] for r in book.newest("ended", 1000)}
        titles = {r.data["title"]: r.key for r in book.newest("asked", 1000)}
        for title, outcome in self.told.items():
            if title in titles:
                assert outcomes[titles[title]] == outcome
        for number, outcome in self.said:
            assert outcomes[number] == outcome
        history = await call(self.kernel, "list", all=True, count=1000)
        assert {row.id: row.outcome for row in history} == outcomes


@given(st.lists(st.lists(steps, min_size=1, max_size=5), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_request_ends_once_and_everybody_is_told_the_same(batches):
    clock = TestClock()
    with TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        (project / ".aegis.yaml").write_text(CONFIG)
        trio.run(Story(clock).run, project, batches, clock=clock.trio)
