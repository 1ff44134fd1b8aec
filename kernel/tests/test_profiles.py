"""A changed profile is in force when the agent's CLI starts next, and the agent says so until then."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakedriver import FakeDriver, Plugin
from test_agent_life import ask
from test_sleep import noted

from aegis.app import Kernel

NEXT = "the profile 'ann' has changed; the agent takes it when its CLI starts next"


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def other() -> FakeDriver:
    return FakeDriver("other")


@pytest.fixture
def plugins(project: Path, driver: FakeDriver, other: FakeDriver) -> dict[str, object]:
    write(project, "provider: fake, permission: read")
    return {"fake": Plugin(drivers=[driver, other])}


def write(project: Path, body: str) -> None:
    (project / ".aegis.yaml").write_text(f"agents:\n  ann: {{{body}}}\n" if body else "agents: {}\n")


async def test_an_agent_takes_a_changed_profile_at_its_next_start_and_says_that_it_will(
    kernel: Kernel, project: Path, driver: FakeDriver
) -> None:
    ann = await kernel.roster.spawn("ann", "ann")
    await ask(kernel, ann, "one")
    write(project, "provider: fake, permission: full, model: big")
    await kernel.config.refresh("anna")
    await noted(ann, "config", NEXT)
    assert (ann.profile.permission, ann.snapshot()["notes"]) == ("read", {"config": NEXT})
    await ann.sleep()
    await ask(kernel, ann, "two")
    assert (ann.profile.permission, ann.profile.model, ann.notes) == ("full", "big", {})
    assert (driver.sessions[-1].seat.profile, driver.sessions[-1].seat.resume) == (ann.profile, "session-0")


async def test_a_change_that_is_taken_back_is_no_longer_said(kernel: Kernel, project: Path) -> None:
    ann = await kernel.roster.spawn("ann", "ann")
    for body, note in (("provider: fake, permission: full", NEXT), ("provider: fake, permission: read", "")):
        write(project, body)
        await kernel.config.refresh()
        await noted(ann, "config", note)


async def test_an_agent_whose_profile_is_gone_goes_on_as_it_is(kernel: Kernel, project: Path) -> None:
    ann = await kernel.roster.spawn("ann", "ann")
    write(project, "")
    await kernel.config.refresh()
    await noted(ann, "config", "the profile 'ann' is gone; the agent keeps the settings it has")
    await ann.sleep()
    assert (await ask(kernel, ann, "still there?")).reply == "echo: still there?"
    assert ann.profile.permission == "read"


async def test_another_provider_begins_a_session_of_its_own(
    kernel: Kernel, project: Path, driver: FakeDriver, other: FakeDriver
) -> None:
    ann = await kernel.roster.spawn("ann", "ann")
    await ask(kernel, ann, "one")
    write(project, "provider: other, permission: read")
    await kernel.config.refresh()
    await ann.sleep()
    await ask(kernel, ann, "two")
    assert (len(driver.sessions), len(other.sessions), other.sessions[0].seat.resume) == (1, 1, "")
    assert (ann.began, ann.snapshot()["provider"]) == ("restarted", "other")
