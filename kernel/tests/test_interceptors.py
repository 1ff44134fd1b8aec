"""Policy that cuts across: asked in order, limited in time, skipped and reported when it fails, unless it is strict."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from fakedriver import FakeDriver, Plugin

from aegis.admission import Work
from aegis.app import Kernel
from aegis.bus import Bus
from aegis.callers import Caller
from aegis.driver import Decision, PermissionRequest
from aegis.errors import AegisError, NotFound, Refused
from aegis.events import PermissionAnswered, PermissionAsked
from aegis.interceptors import Interceptors
from aegis.testing.clock import TestClock
from aegis.testing.plugin import Opened
from aegis.verb_definition import verb

SAM = Caller("human", "sam")


class Says:
    """Notes that it was asked."""

    def __init__(self, name: str, log: list[str], order: int = 0) -> None:
        self.name, self.log, self.order = name, log, order

    async def before_verb(self, call: Any) -> None:
        self.log.append(self.name)


class Fails:
    name = "fails"

    async def before_verb(self, call: Any) -> None:
        raise ValueError("a bug")

    async def after_verb(self, call: Any, value: Any, error: Any) -> None:
        raise ValueError("a bug")

    async def permission(self, seat: Any, request: Any) -> Decision | None:
        raise ValueError("a bug")


class Strict(Fails):
    strict = True


class Hangs:
    name, timeout = "hangs", 3

    async def before_verb(self, call: Any) -> None:
        await trio.sleep_forever()


class Plain:
    """Never waits, so it need not be async; what it returns to wait for is waited for, and in time."""

    name, timeout = "plain", 3

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def before_verb(self, call: Any) -> Any:
        self.log.append("asked")
        if call.verb == "refused":
            raise Refused("not this one")
        return self._waits() if call.verb == "waits" else None

    async def _waits(self) -> None:
        self.log.append("waited for")
        await trio.sleep_forever()


class Shout:
    name = "shout"

    @verb("say")
    async def say(self, caller: Caller, text: str) -> str:
        """Say it."""
        return text


def offering(*interceptors: object) -> dict[str, object]:
    return {"shout": Plugin(primitives=[Shout()], interceptors=interceptors)}


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


async def test_they_are_asked_in_order_ties_as_they_came(kernel_with: Opened) -> None:
    log: list[str] = []
    these = [Says("third", log, 5), Says("first", log, -1), Says("second", log), Says("second too", log)]
    async with kernel_with(**offering(*these)) as kernel:
        await kernel.verbs.call(SAM, "say", {"text": "x"})
    assert log == ["first", "second", "second too", "third"]


async def test_arguments_may_be_rewritten_and_values_seen(kernel_with: Opened) -> None:
    seen: list[Any] = []

    class Loud:
        name = "loud"

        async def before_verb(self, call: Any) -> None:
            call.args["text"] = call.args["text"].upper()

        async def after_verb(self, call: Any, value: Any, error: Any) -> None:
            seen.append((call.verb, str(call.caller), value, error))

    async with kernel_with(**offering(Loud())) as kernel:
        assert await kernel.verbs.call(SAM, "say", {"text": "hello"}) == "HELLO"
    assert seen == [("say", "human:sam", "HELLO", None)]


async def test_one_that_fails_is_reported_and_skipped(kernel_with: Opened) -> None:
    log: list[str] = []
    async with kernel_with(**offering(Fails(), Says("after", log, 1))) as kernel:
        assert await kernel.verbs.call(SAM, "say", {"text": "x"}) == "x"
        assert log == ["after"]
        assert [f.source for f in kernel.faults] == ["fails.before_verb", "fails.after_verb"]
        assert "a bug" in kernel.faults[0].error


async def test_a_strict_one_that_fails_refuses_what_was_asked_but_not_what_was_done(kernel_with: Opened) -> None:
    async with kernel_with(**offering(Strict())) as kernel:
        with pytest.raises(Refused, match="fails must agree to this, and failed: ValueError"):
            await kernel.verbs.call(SAM, "say", {"text": "x"})
    interceptors = Interceptors(Bus())
    interceptors.add(Strict())
    await interceptors.tell("after_verb", None, None, None)


async def test_one_that_takes_too_long_is_skipped_and_its_time_named(kernel_with: Opened, autojump: TestClock) -> None:
    async with kernel_with(**offering(Hangs())) as kernel:
        started = trio.current_time()
        assert await kernel.verbs.call(SAM, "say", {"text": "x"}) == "x"
        assert trio.current_time() - started == pytest.approx(3, abs=0.5)
        assert kernel.faults[0].error == "took longer than 3 s"


async def test_one_that_never_waits_is_a_plain_call_and_what_it_returns_is_waited_for(autojump: TestClock) -> None:
    log, bus = list[str](), Bus()
    interceptors = Interceptors(bus)
    interceptors.add(Plain(log))
    assert not interceptors.waits("before_verb")
    await interceptors.tell("before_verb", SimpleNamespace(verb="say"))
    with pytest.raises(Refused, match="not this one"):
        await interceptors.tell("before_verb", SimpleNamespace(verb="refused"))
    started = trio.current_time()
    await interceptors.tell("before_verb", SimpleNamespace(verb="waits"))
    assert trio.current_time() - started == pytest.approx(3, abs=0.5)
    assert log == ["asked", "asked", "asked", "waited for"]
    assert [fault.error for fault in bus.faults] == ["took longer than 3 s"]
    interceptors.add(Hangs())
    assert interceptors.waits("before_verb")


async def test_a_refusal_is_the_answer(kernel_with: Opened) -> None:
    class Budget:
        name = "budget"

        async def before_verb(self, call: Any) -> None:
            raise Refused("the budget of today is spent")

    async with kernel_with(**offering(Budget())) as kernel:
        with pytest.raises(Refused, match="the budget of today is spent"):
            await kernel.verbs.call(SAM, "say", {"text": "x"})
        assert not kernel.faults


async def test_one_without_any_point_is_said_to_be_wrong() -> None:
    class Misspelt:
        name = "misspelt"

        async def befor_verb(self, call: Any) -> None: ...

    with pytest.raises(AegisError, match="none of the points"):
        Interceptors(Bus()).add(Misspelt())  # type: ignore[arg-type]


async def test_a_plugin_whose_interceptor_is_wrong_is_named_and_the_kernel_runs(kernel_with: Opened) -> None:
    class Misspelt:
        name = "misspelt"

        async def befor_verb(self, call: Any) -> None: ...

    async with kernel_with(**offering(), wrong=Plugin(interceptors=[Misspelt()])) as kernel:
        assert await kernel.verbs.call(SAM, "say", {"text": "x"}) == "x"
        assert any("none of the points" in f.error for f in kernel.plugins.report() if f.name == "wrong")


# -- permissions ----------------------------------------------------------------------------------------------------


class Decides:
    def __init__(self, name: str, decision: Any) -> None:
        self.name, self.decision = name, decision

    async def permission(self, seat: Any, request: PermissionRequest) -> Any:
        return self.decision


YES, NO = Decision("allowed", "by its mode"), Decision("denied", "by its mode")


async def _decided(*interceptors: Any, presumed: Decision | None = None) -> Decision:
    made = Interceptors(Bus())
    for interceptor in interceptors:
        made.add(interceptor)
    return await made.permission(None, PermissionRequest("1", "Bash", presumed=presumed))  # type: ignore[arg-type]


async def test_the_first_decision_counts_and_nobody_means_no() -> None:
    yes = Decision("allowed", "by rule")
    assert await _decided(Decides("a", None), Decides("b", yes), Decides("c", Decision("denied"))) == yes
    nobody = await _decided(Decides("a", None))
    assert (nobody.allowed, "aegis-approvals would" in nobody.reason) == (False, True)


async def test_a_failing_or_nonsensical_answer_is_not_a_yes() -> None:
    assert not (await _decided(Fails())).allowed
    assert not (await _decided(Decides("odd", True))).allowed
    assert (await _decided(Strict())).outcome == "denied"


async def test_what_a_mode_presumed_holds_unless_somebody_is_stricter() -> None:
    allowed, denied = Decides("a", Decision("allowed")), Decides("d", Decision("denied", "a rule"))
    assert await _decided(presumed=YES) == await _decided(Decides("a", None), presumed=YES) == YES
    assert await _decided(denied, allowed, presumed=YES) == Decision("denied", "a rule")
    assert await _decided(allowed, presumed=NO) == await _decided(presumed=NO) == NO
    assert not (await _decided(Strict(), presumed=YES)).allowed, "who must agree, and fails, does not agree"


async def test_of_what_a_mode_presumed_nobody_is_told_that_it_was_asked(
    kernel_with: Opened, driver: FakeDriver
) -> None:
    denies = Decides("d", Decision("denied", "a rule"))
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[denies])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        assert ann.seat
        with kernel.bus.subscribe() as news:
            assert await ann.seat.ask(PermissionRequest("1", "Bash", presumed=YES)) == denies.decision
            assert await ann.seat.ask(PermissionRequest("2", "Bash")) == denies.decision
            events = [event for batch in news.take() for event in batch.events]
    assert [event.id for event in events if isinstance(event, PermissionAsked | PermissionAnswered)] == ["2", "2"]


# -- turns ----------------------------------------------------------------------------------------------------------


async def test_prompts_may_be_rewritten_and_turns_refused(kernel_with: Opened, driver: FakeDriver) -> None:
    ended: list[str] = []

    class Policy:
        name = "policy"

        async def before_turn(self, turn: Any) -> None:
            if "secret" in turn.prompt:
                raise Refused("that is secret")
            turn.prompt += "\nBe brief."

        async def after_turn(self, turn: Any, end: Any) -> None:
            ended.append(end.outcome)

    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[Policy()])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")

        async def ask(body: str) -> Any:
            receipt = await kernel.post.deliver(kernel.post.envelope("human:sam", ann.id, body))
            return await kernel.post.wait_turn(receipt.id)

        assert (await ask("hello")).reply == "echo: Be brief."
        refused = await ask("a secret")
        assert (refused.outcome, refused.reason) == ("refused", "that is secret")
        assert (await ask("again")).outcome == "completed"
        await trio.testing.wait_all_tasks_blocked()
    assert ended == ["completed", "refused", "completed"]
    assert not any("secret" in prompt for prompt in driver.heard)


async def test_furnishing_reaches_the_seat_and_a_refusal_there_refuses_the_spawn(
    kernel_with: Opened, driver: FakeDriver
) -> None:
    class Furnish:
        name, refuse = "before_open", False

        async def before_open(self, seat: Any) -> None:
            if self.refuse:
                raise Refused("no more agents today")
            seat.primer.append("You are watched.")
            seat.env["EXTRA"] = "1"

    policy = Furnish()
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[policy])) as kernel:
        await kernel.roster.spawn("fake", "ann")
        seat = driver.sessions[0].seat
        assert (seat.primer[-1], seat.env["EXTRA"]) == ("You are watched.", "1")
        policy.refuse = True
        with pytest.raises(AegisError, match="no more agents today"):
            await kernel.roster.spawn("fake", "bob")
        assert kernel.roster.live() == {"ann"}


async def test_an_agent_may_be_closed_from_after_its_turn(kernel_with: Opened, driver: FakeDriver) -> None:
    class OneTurn:
        name = "one-turn"
        kernel: Kernel

        async def after_turn(self, turn: Any, end: Any) -> None:
            agent = self.kernel.roster.get(turn.agent_id)
            if agent:
                await self.kernel.roster.close(agent, "one turn is enough")

    policy = OneTurn()
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[policy])) as kernel:
        policy.kernel = kernel
        ann = await kernel.roster.spawn("fake", "ann")
        await kernel.post.deliver(kernel.post.envelope("human:sam", ann.id, "x"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(2):
            while kernel.roster.live():
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert kernel.roster.live() == set()
        assert kernel.ledger.book("roster").find(ann.id)[-1].kind == "closed"


# -- while things change --------------------------------------------------------------------------------------------


class Waits:
    """Acts at a point for as long as it is not let go."""

    name, timeout = "waits", None

    def __init__(self, point: str) -> None:
        self.asked, self.go = trio.Event(), trio.Event()
        setattr(self, point, self._wait)

    async def _wait(self, *args: Any) -> None:
        self.asked.set()
        await self.go.wait()


async def test_one_that_left_while_those_before_it_were_asked_is_not_asked(kernel_with: Opened) -> None:
    log: list[str] = []
    waits = Waits("before_verb")
    async with kernel_with(**offering(waits), late=Plugin(interceptors=[Says("late", log, 1)])) as kernel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.verbs.call, SAM, "say", {"text": "x"})
            await waits.asked.wait()
            await kernel.plugins.leave("late")
            waits.go.set()
        assert log == []


async def test_a_verb_whose_plugin_left_while_others_were_asked_is_not_run(kernel_with: Opened) -> None:
    waits = Waits("before_verb")

    async def call() -> None:
        with pytest.raises(NotFound, match="say: its plugin 'shout' has just left"):
            await kernel.verbs.call(SAM, "say", {"text": "x"})

    async with kernel_with(shout=Plugin(primitives=[Shout()]), waits=Plugin(interceptors=[waits])) as kernel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await waits.asked.wait()
            await kernel.plugins.leave("shout")
            waits.go.set()


@pytest.mark.parametrize("nonsense", [None, 5, [1], "text", {1: 2}])
async def test_arguments_that_are_none_are_refused(kernel_with: Opened, nonsense: Any) -> None:
    class Rewrites:
        name = "rewrites"

        async def before_verb(self, call: Any) -> None:
            call.args = nonsense

    async with kernel_with(**offering(Rewrites())) as kernel:
        with pytest.raises(Refused, match="It takes: text"):
            await kernel.verbs.call(SAM, "say", {"text": "x"})


async def test_what_was_reserved_for_work_is_released_when_nobody_waits_for_the_answer_any_more() -> None:
    log: list[str] = []

    class Reserves:
        name = "reserves"

        async def admit(self, work: Work) -> None:
            log.append(f"for {work.id}")

        async def release(self, work: Work) -> None:
            await trio.lowlevel.checkpoint()
            log.append(f"not for {work.id}")

    interceptors, waits = Interceptors(Bus()), Waits("admit")
    interceptors.add(Reserves())
    interceptors.add(waits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interceptors.admit, Work(kind="task", id="7", place="jobs", profile="worker", caller=SAM))
        await waits.asked.wait()
        nursery.cancel_scope.cancel()
    assert log == ["for 7", "not for 7"]


async def test_one_that_leaves_while_it_is_asked_is_not_waited_for(kernel_with: Opened) -> None:
    waits = Waits("permission")
    said: list[Decision] = []
    async with kernel_with(waits=Plugin(interceptors=[waits])) as kernel:

        async def ask() -> None:
            said.append(await kernel.interceptors.permission(None, PermissionRequest("1", "Bash", "execute")))  # type: ignore[arg-type]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await waits.asked.wait()
            await kernel.plugins.leave("waits")
        assert [(d.outcome, d.reason) for d in said] == [
            ("denied", "no plugin here can ask anyone (aegis-approvals would)")
        ]
        assert not kernel.faults
