"""Each permission request ends in exactly one way, by the mode where it can, else by a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

import aegis_approvals.plugin
from aegis import Caller, Decision, Kernel, NotFound, PermissionRequest, Probe, Profile, Refused, Seat, hookimpl
from aegis.agent import Agent
from aegis.events import Event, PermissionAnswered, PermissionAsked

ANNA = Caller("human", "anna")
RUN = PermissionRequest("01REQ", "Bash", "execute", "rm -rf build", {"command": "rm -rf build"})


class Asking:
    """A driver whose sessions do nothing; the test asks through their seats."""

    name, settings, resumes = "asking", Profile, False

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[Asking]:
        self.seats[seat.agent_id] = seat
        yield self

    async def receive(self) -> Sequence[Event]:
        await trio.sleep_forever()
        return ()

    def probe(self) -> Probe:
        return Probe(found=True)

    @hookimpl
    def aegis_drivers(self) -> list[Asking]:
        return [self]


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture
def plugins(asking: Asking) -> Mapping[str, object]:
    return {"asking": asking, "approvals": aegis_approvals.plugin}


async def seat_of(kernel: Kernel, asking: Asking, mode: str = "auto") -> tuple[Agent, Seat]:
    kernel.config.profiles["asker"] = Profile(provider="asking", permission=mode)
    agent = await kernel.roster.spawn("asker", "calm-codd")
    return agent, asking.seats[agent.id]


@asynccontextmanager
async def asked(seat: Seat, request: PermissionRequest = RUN) -> AsyncIterator[list[Decision]]:
    """Ask, and go on while the question is open."""
    got: list[Decision] = []

    async def ask() -> None:
        got.append(await seat.ask(request))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.02)
        yield got


@pytest.mark.parametrize(("verb", "outcome"), [("allow", "allowed"), ("deny", "denied")])
async def test_a_person_answers_once_and_by_the_beginning_of_the_id(kernel, asking, verb, outcome):
    _, seat = await seat_of(kernel, asking)
    async with asked(seat) as got:
        [face] = await kernel.verbs.call(ANNA, "approvals list")
        assert (face.agent, face.tool, face.title) == ("calm-codd", "Bash", "rm -rf build")
        said = await kernel.verbs.call(ANNA, f"approvals {verb}", {"request": "01R", "reason": "because"})
        assert said == f"calm-codd: rm -rf build is {outcome}"
        with pytest.raises(NotFound, match="no open request"):
            await kernel.verbs.call(ANNA, "approvals allow", {"request": "01R"})
    assert got == [Decision(outcome, "because")]
    assert await kernel.verbs.call(ANNA, "approvals list") == []


async def test_the_question_and_its_end_are_seen_and_kept(kernel, asking):
    agent, seat = await seat_of(kernel, asking)
    with kernel.bus.subscribe() as news:
        async with asked(seat):
            assert [a["id"] for a in agent.snapshot()["asking"]] == ["01REQ"]
            await kernel.verbs.call(ANNA, "approvals allow", {"request": "01REQ"})
        events = [e for batch in news.take() for e in batch.events]
    assert [type(e) for e in events if isinstance(e, PermissionAsked | PermissionAnswered)] == [
        PermissionAsked,
        PermissionAnswered,
    ]
    kinds = [(r.kind, r.data.get("outcome")) for r in kernel.ledger.book("approvals").find("01REQ")]
    assert kinds == [("asked", None), ("ended", "allowed")]


async def test_nobody_answers_and_it_expires(project, kernel_with, asking, autojump):
    (project / ".aegis.yaml").write_text("plugins: {approvals: {timeout: 60}}\n")
    async with kernel_with(asking=asking, approvals=aegis_approvals.plugin) as kernel:
        _, seat = await seat_of(kernel, asking)
        async with asked(seat) as got:
            pass
        assert got == [Decision("expired", "nobody answered within 60 s")]


async def test_a_question_whose_agent_is_gone_is_cancelled(kernel, asking):
    _, seat = await seat_of(kernel, asking)
    with trio.CancelScope() as scope:
        async with asked(seat):
            scope.cancel()
    assert await kernel.verbs.call(ANNA, "approvals list") == []
    assert kernel.ledger.book("approvals").find("01REQ")[-1].data["outcome"] == "cancelled"


async def test_an_agent_may_not_answer(kernel, asking):
    agent, seat = await seat_of(kernel, asking)
    async with asked(seat):
        with pytest.raises(Refused, match="may not use"):
            await kernel.verbs.call(kernel.roster.caller(agent), "approvals allow", {"request": "01REQ"})
        await kernel.verbs.call(ANNA, "approvals deny", {"request": "01REQ"})


async def test_without_the_plugin_the_answer_is_no(kernel_with, asking):
    async with kernel_with(asking=asking) as kernel:
        _, seat = await seat_of(kernel, asking)
        decision = await seat.ask(RUN)
        assert (decision.outcome, "aegis-approvals" in decision.reason) == ("denied", True)


@pytest.mark.parametrize(
    ("mode", "kind", "path", "outcome"),
    [
        ("read", "read", "a.py", "allowed"),
        ("read", "read", "../secrets", None),
        ("read", "edit", "a.py", "denied"),
        ("read", "execute", None, "denied"),
        ("read", "other", None, "denied"),
        ("write", "edit", "a.py", "allowed"),
        ("write", "edit", "sub/../../out.py", None),
        ("write", "edit", "link/x.py", None),
        ("write", "edit", None, None),
        ("write", "execute", None, None),
        ("full", "execute", None, "allowed"),
        ("full", "edit", "../out.py", "allowed"),
        ("auto", "read", "a.py", "allowed"),
        ("auto", "edit", "a.py", None),
    ],
)
async def test_what_each_mode_answers_by_itself(kernel, asking, project, mode, kind, path, outcome):
    (project / "link").symlink_to(project.parent)
    _, seat = await seat_of(kernel, asking, mode)
    request = PermissionRequest("01REQ", "Tool", kind, paths=(path,) if path else ())
    async with asked(seat, request) as got:
        if outcome is None:
            assert len(await kernel.verbs.call(ANNA, "approvals list")) == 1, "a person is asked"
            await kernel.verbs.call(ANNA, "approvals deny", {"request": "01REQ"})
        else:
            assert [d.outcome for d in got] == [outcome]


async def test_the_planes_own_tools_are_never_asked_about(kernel, asking):
    _, seat = await seat_of(kernel, asking, "read")
    assert (await seat.ask(PermissionRequest("01REQ", "mcp__aegis__aegis_handoff", "other"))).allowed
