"""What every driver's sessions keep, seen from a seat: one real process, its pipes, and nothing of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from aegis.driver import Decision, Driver, PermissionRequest
from aegis.errors import LaunchError, SessionGone
from aegis.events import Event, SessionStarted, Text, Thought, ToolCall, ToolResult, TurnEnded
from aegis.testing.contract_base import StagedDriver, of
from aegis.testing.plane import serving
from aegis.testing.processes import runs
from aegis.testing.scenarios import LINE
from aegis.testing.seats import Seats, child_of, heard, turn

SECRET = "secret-5d1f7a"


def ended(events: list[Event]) -> TurnEnded:
    """Return the end of the turn: there is one, and nothing comes after it."""
    [end] = of(TurnEnded, events)
    assert events[-1] is end
    return end


class SessionContract(StagedDriver):
    """Turns, interrupts, permissions, identity, and what is left when a session is left."""

    @pytest.fixture
    def seats(self, driver: Driver, tmp_path: Path, environment: dict[str, str]) -> Seats:
        """Seats for the driver under test."""
        return Seats(driver, tmp_path, environment)

    @pytest.mark.ability("answers", "thoughts", "usage", "cost")
    @pytest.mark.scene("one", "two")
    async def test_two_turns_in_one_session_each_end_once(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            first, second = await turn(session, "one"), await turn(session, "two")
            for events, words, (usage, cost) in zip(
                (first, second), ("the first answer", "the second answer"), self.bill, strict=True
            ):
                end = ended(events)
                assert "".join(e.text for e in of(Text, events)) == words
                assert (end.outcome, end.reason) == ("completed", "")
                assert end.usage is not None
                assert (end.usage.input, end.usage.output) == (usage.input, usage.output)
                assert end.cost_usd == pytest.approx(cost)
        assert of(SessionStarted, first)[0].session_id
        assert [e.text for e in of(Thought, first)] == ([] if "thoughts" in self.lacking() else ["hm"])
        assert len(seats.processes) == 1

    @pytest.mark.ability("interrupt")
    @pytest.mark.scene("hang", "two")
    async def test_an_interrupt_ends_the_turn_and_keeps_the_session(
        self, seats: Seats, stage: Mapping[str, Any]
    ) -> None:
        async with seats.open(stage) as session:
            await session.send("hang")
            await heard(session, Text)
            await session.interrupt()
            assert ended(await heard(session, TurnEnded)).outcome == "cancelled"
            assert ended(await turn(session, "two")).outcome == "completed"
        assert len(seats.processes) == 1

    @pytest.mark.ability("interrupt")
    @pytest.mark.scene("hang", "two")
    async def test_an_interrupt_at_once_ends_the_turn_too(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            await session.send("hang")
            await session.interrupt()
            assert ended(await heard(session, TurnEnded)).outcome == "cancelled"
            assert ended(await turn(session, "two")).outcome == "completed"

    @pytest.mark.ability("interrupt")
    @pytest.mark.scene("one", "two")
    async def test_an_interrupt_when_idle_is_quiet(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            await session.interrupt()
            assert ended(await turn(session, "one")).outcome == "completed"
            await session.interrupt()
            assert ended(await turn(session, "two")).outcome == "completed"

    @pytest.mark.ability("clean exit")
    @pytest.mark.scene("hang")
    async def test_leaving_mid_turn_leaves_nothing(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            await session.send("hang")
            await heard(session, Text)
        assert seats.left() == []

    @pytest.mark.ability("clean exit")
    @pytest.mark.scene("shell")
    async def test_leaving_ends_the_clis_shells_too(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session, trio.open_nursery() as nursery:
            await session.send("shell")
            nursery.start_soon(heard, session, TurnEnded)  # the permission request comes while one listens
            shell = await child_of(seats.processes[0].pid, "tail")
            nursery.cancel_scope.cancel()
        assert seats.left() == []
        assert not runs(shell)

    @pytest.mark.ability("plane")
    @pytest.mark.scene("whoami")
    async def test_two_sessions_do_not_mix(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        with serving() as plane:
            anna, bo = plane.server("anna", SECRET), plane.server("bo", "another-secret")
            async with (
                seats.open(stage, handle="anna", servers=[anna]) as first,
                seats.open(stage, handle="bo", servers=[bo]) as second,
            ):
                await second.send("whoami")
                await first.send("whoami")
                both = await heard(first, TurnEnded), await heard(second, TurnEnded)
                pids = [process.pid for process in seats.processes]
                lines = [psutil.Process(pid).cmdline() for pid in pids]
        assert [of(ToolResult, events)[-1].text for events in both] == ["you are anna", "you are bo"]
        assert sorted(caller for caller, *_ in plane.calls) == ["anna", "bo"]
        ids = {of(SessionStarted, events)[0].session_id for events in both}
        assert len(ids) == 2, "each has a session of its own"
        assert not [word for line in lines for word in line if SECRET in word], "argv is read by everyone"

    @pytest.mark.ability("primer")
    @pytest.mark.scene("primer")
    async def test_the_primer_reaches_the_agent(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage, primer="You are lucid-knuth of PRIMER-77.") as session:
            assert "PRIMER-77" in "".join(e.text for e in of(Text, await turn(session, "primer")))

    @pytest.mark.ability("permission auto", "tool calls")
    @pytest.mark.scene("edit")
    @pytest.mark.parametrize("outcome", ["allowed", "denied", "expired"])
    async def test_a_permission_is_asked_for_and_obeyed(
        self, seats: Seats, stage: Mapping[str, Any], outcome: Any
    ) -> None:
        async def decide(request: PermissionRequest) -> Decision:
            return Decision(outcome, "because of the moon")

        seats.decide = decide
        note = seats.folder / "work" / "note.txt"
        async with seats.open(stage) as session:
            events = await turn(session, "edit")
        [request] = seats.asked
        assert request.kind == "edit"
        assert [(seats.folder / "work" / path).name for path in request.paths] == ["note.txt"]
        assert ended(events).outcome == "completed"
        [call], [result] = of(ToolCall, events), of(ToolResult, events)
        assert call.id == result.id and events.index(call) < events.index(result)
        assert note.exists() is (outcome == "allowed") is not result.is_error
        assert ("because of the moon" in result.text) is (outcome != "allowed"), "the agent reads why"

    @pytest.mark.ability("open requests")
    @pytest.mark.scene("edit", "two")
    async def test_an_interrupt_takes_back_what_was_asked(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        asked, cancelled = trio.Event(), trio.Event()

        async def decide(request: PermissionRequest) -> Decision:
            asked.set()
            try:
                await trio.sleep_forever()
            finally:
                cancelled.set()

        seats.decide = decide
        async with seats.open(stage) as session, trio.open_nursery() as nursery:
            await session.send("edit")

            async def interrupt() -> None:
                await asked.wait()
                await session.interrupt()

            nursery.start_soon(interrupt)
            assert ended(await heard(session, TurnEnded)).outcome == "cancelled"
            with trio.fail_after(5):
                await cancelled.wait()
            assert ended(await turn(session, "two")).outcome == "completed"
        assert not (seats.folder / "work" / "note.txt").exists()

    @pytest.mark.ability("model errors")
    @pytest.mark.scene("fail", "two")
    async def test_a_model_error_is_a_failed_turn_with_its_reason(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            end = ended(await turn(session, "fail"))
            assert end.outcome == "failed" and "overloaded" in end.reason
            assert ended(await turn(session, "two")).outcome == "completed"

    @pytest.mark.ability("resume")
    @pytest.mark.scene("one", "again")
    async def test_a_conversation_is_resumed(self, seats: Seats, stage: Mapping[str, Any], driver: Driver) -> None:
        assert driver.resumes
        folder = seats.folder / "kept"
        async with seats.open(stage, seat_folder=folder) as session:
            [started, *_] = of(SessionStarted, await turn(session, "one"))
        async with seats.open(stage, seat_folder=folder, resume=started.session_id) as session:
            events = await turn(session, "again")
        assert of(SessionStarted, events)[0].session_id == started.session_id
        assert "turn 2; before: one" in of(Text, events)[-1].text

    @pytest.mark.ability("lost session")
    async def test_a_conversation_that_is_not_there_is_not_resumed(
        self, seats: Seats, stage: Mapping[str, Any]
    ) -> None:
        with pytest.raises(SessionGone):
            async with seats.open(stage, resume="5d1f7a00-0000-4000-8000-000000000000"):
                pass
        assert seats.left() == []

    @pytest.mark.ability("failed start")
    async def test_a_cli_that_is_missing_is_named(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        seats.rewrite = lambda command: replace(command, argv=["no-such-cli", *command.argv[1:]])
        with pytest.raises(LaunchError, match=r"no-such-cli.*not installed"):
            async with seats.open(stage):
                pass

    @pytest.mark.ability("failed start")
    async def test_a_cli_that_exits_at_once_is_quoted(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        last = ["/bin/sh", "-c", "yes | head -c 250000 >&2; echo the disk is made of cheese >&2; exit 3"]
        seats.rewrite = lambda command: replace(command, argv=last)
        with pytest.raises(LaunchError, match=r"(?s)/bin/sh.*exited with code 3.*made of cheese"):
            async with seats.open(stage):
                pass

    @pytest.mark.ability("bad output")
    @pytest.mark.scene("malformed")
    async def test_lines_that_are_no_message_are_passed_over(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            events = await turn(session, "malformed")
        assert ended(events).outcome == "completed"
        assert of(Text, events)[-1].text == "where was I"

    @pytest.mark.ability("bad output")
    @pytest.mark.scene("long")
    async def test_a_line_of_64_mib_passes(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            events = await turn(session, "long")
        assert sum(len(e.text) for e in of(Text, events)) == LINE

    @pytest.mark.ability("bad output")
    @pytest.mark.scene("flood")
    async def test_a_flood_on_stderr_hinders_nobody(self, seats: Seats, stage: Mapping[str, Any]) -> None:
        async with seats.open(stage) as session:
            assert ended(await turn(session, "flood")).outcome == "completed"
