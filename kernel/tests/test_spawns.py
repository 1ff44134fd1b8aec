"""Whose act a start is: an agent starts its own kind only, unless a policy vouches for it, and the book keeps who."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fakedriver import FakeDriver, Plugin

from aegis.app import Kernel
from aegis.callers import Caller
from aegis.config import Config
from aegis.driver import Driver
from aegis.errors import Refused
from aegis.registry import Registry
from aegis.roster import KERNEL
from aegis.testing.plugin import Opened

PROFILES = "agents:\n  reader: {provider: fake}\n  root: {provider: fake, permission: full}\n"


class Policy:
    """Answers as it is told, and keeps what it was asked."""

    name = "policy"

    def __init__(self) -> None:
        self.answer: object = None
        self.asked: list[tuple[str, str, str]] = []

    async def before_spawn(self, by: Caller, profile: str, handle: str) -> object:
        self.asked.append((str(by), profile, handle))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fake() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def policy() -> Policy:
    return Policy()


@pytest.fixture
def plugins(project: Path, fake: FakeDriver, policy: Policy) -> dict[str, object]:
    (project / ".aegis.yaml").write_text(PROFILES)
    return {"fake": Plugin(drivers=[fake], interceptors=[policy])}


async def test_an_agent_starts_its_own_kind_and_another_only_if_somebody_vouches(
    kernel: Kernel, fake: FakeDriver, policy: Policy
) -> None:
    by = kernel.roster.caller(await kernel.roster.spawn("reader", "ann"))
    assert (await kernel.roster.spawn("reader", "bo", by)).by == by.agent_id
    for who in (by, by.through("queue", "jobs")):
        with pytest.raises(Refused, match=rf"^{who} may start agents of its own profile here, and not of 'root'$"):
            await kernel.roster.spawn("root", "cy", who)
    assert kernel.roster.live() == {"ann", "bo"} and len(fake.sessions) == 2
    policy.answer = True
    assert (await kernel.roster.spawn("root", "cy", by)).state == "idle"
    policy.answer = Refused("not by daylight")
    with pytest.raises(Refused, match="not by daylight"):
        await kernel.roster.spawn("reader", "di", by)
    with pytest.raises(Refused, match="not by daylight"):
        await kernel.roster.may_spawn(Caller("human", "anna"), "reader")
    assert policy.asked[-2:] == [("agent:ann", "reader", "di"), ("human:anna", "reader", "")]


async def test_who_says_an_agent_only_by_its_name_is_bound_as_that_agent(kernel: Kernel) -> None:
    await kernel.roster.spawn("reader", "ann")
    for by in (Caller("schedule", "nightly", on_behalf_of="agent:ann"), Caller("agent", "ann").through("queue")):
        with pytest.raises(Refused, match="may start agents of its own profile here"):
            await kernel.roster.spawn("root", "cy", by)
        assert (await kernel.roster.spawn("reader", f"bo-{by.kind}", by)).profile_name == "reader"
    assert kernel.roster.born("ann") is None, "a handle is no id"
    for ghost in (Caller("agent", "nobody"), Caller("schedule", "nightly", on_behalf_of="agent:nobody")):
        with pytest.raises(Refused, match="may start agents of its own profile here"):
            await kernel.roster.spawn("reader", "cy", ghost)


async def test_people_and_programs_of_their_own_start_what_they_like(kernel: Kernel) -> None:
    for n, by in enumerate((KERNEL, Caller("human", "anna"), Caller("schedule", "nightly"))):
        made = await kernel.roster.spawn("root", f"bo-{n}", by)
        assert (made.state, made.by) == ("idle", str(by))


async def test_how_an_agent_began_is_known_when_it_is_renamed_closed_and_after_a_restart(
    kernel_with: Opened, plugins: dict[str, object]
) -> None:
    by = Caller("human", "anna", trace="t1").through("queue", "jobs")
    async with kernel_with(**plugins) as kernel:
        ann, gone = [await kernel.roster.spawn("reader", handle, by) for handle in ("ann", "gone")]
        await kernel.roster.rename(gone, "long-gone")
        await kernel.roster.close(gone)
        assert kernel.roster.label(gone.id) == "long-gone"
        assert kernel.roster.born("nobody") is None
    async with kernel_with(**plugins) as kernel:
        again = kernel.roster.find("ann")
        assert (again.started_by, again.by, again.started_by.principal) == (by, "queue:jobs", "human:anna")
        for agent_id, handle in ((ann.id, "ann"), (gone.id, "long-gone")):
            born = kernel.roster.born(agent_id)
            assert born and (born.handle, born.profile, born.by) == (handle, "reader", by)
            assert kernel.roster.label(agent_id) == handle


async def test_a_rename_can_be_refused(kernel: Kernel) -> None:
    class Strict:
        name = "strict"

        async def before_rename(self, by: Caller, agent_id: str, handle: str) -> None:
            if by.class_ == "agent":
                raise Refused(f"{by} may not call {agent_id} {handle}")

    kernel.interceptors.add(Strict())  # type: ignore[arg-type]
    ann = await kernel.roster.spawn("reader", "ann")
    with pytest.raises(Refused, match=f"agent:ann may not call {ann.id} bo"):
        await kernel.roster.rename(ann, "bo", kernel.roster.caller(ann))
    await kernel.roster.rename(ann, "bo", Caller("human", "anna"))
    assert ann.handle == "bo"


def test_an_unknown_profile_in_a_grant_is_said_when_it_is_read(tmp_path: Path) -> None:
    text = "agents:\n  a:\n    provider: fake\n    spawns: [a, reedar]\n  reader: {provider: fake}\n"
    (tmp_path / ".aegis.yaml").write_text(text)
    drivers = Registry[Driver]("driver")
    drivers.add("fake", FakeDriver(), "fake")
    [remark] = Config(tmp_path, Registry("section"), drivers).remarks
    assert re.search(r":4: agents\.a\.spawns: there is no profile 'reedar'\. Did you mean 'reader'", remark)
