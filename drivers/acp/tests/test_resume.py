"""Going on with a former conversation: what is said again, what it cost, who is primed, and Gemini's minute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from aegis.errors import LaunchError, SessionGone
from aegis.events import Notice, SessionStarted, Text, TurnEnded
from aegis.testing.clock import TestClock, settled
from aegis.testing.contract_base import of
from aegis.testing.scenarios import SCRIPT
from aegis.testing.seats import Seats, turn
from aegis_acp.driver import AcpDriver
from aegis_acp.session_record import SessionRecord

Fake = Callable[..., list[str]]
Agent = Callable[[str], dict[str, Any]]
PRIMER = "You are lucid-knuth of PRIMER-77."


async def twice(
    seats: Seats, command: list[str], folder: Path, *words: str, primer: str = ""
) -> tuple[list[Any], list[Any]]:
    """Have a turn, go on with the conversation in another process, and return what each said."""
    keys = {"command": command}
    async with seats.open(keys, seat_folder=folder, primer=primer) as session:
        first = await turn(session, words[0])
    [started, *_] = of(SessionStarted, first)
    async with seats.open(keys, seat_folder=folder, resume=started.session_id, primer=primer) as session:
        return first, await turn(session, words[1])


@pytest.mark.parametrize(
    "like",
    [[], ["--no-resume"], ["--no-resume", "--replay", "after"], ["--lies"]],
    ids=["resume", "load", "late", "lies"],
)
async def test_nothing_is_said_twice(seats: Seats, fakecli: Fake, tmp_path: Path, like: list[str]) -> None:
    command = [*fakecli(SCRIPT, "aegis_acp.testing"), *like]
    first, second = await twice(seats, command, tmp_path / "kept", "one", "again")
    assert [event.text for event in of(Text, second)] == ["turn 2; before: one"]
    assert of(SessionStarted, second)[0].session_id == of(SessionStarted, first)[0].session_id
    assert of(Notice, second) == []


async def test_each_process_is_billed_for_its_own_turns(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    first, second = await twice(seats, fakecli(SCRIPT, "aegis_acp.testing"), tmp_path / "kept", "one", "two")
    assert [of(TurnEnded, events)[0].cost_usd for events in (first, second)] == [0.25, 0.5]


async def test_a_resumed_session_remembers_its_primer(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    command = fakecli([{"do": [{"say": "{primer}"}]}], "aegis_acp.testing")
    _, second = await twice(seats, command, tmp_path / "kept", "one", "two", primer=PRIMER)
    assert of(Text, second)[0].text == PRIMER


async def test_the_primer_is_told_once_and_again_after_a_compaction(seats: Seats, agent: Agent) -> None:
    script = """
opened()
for used in (80, 90, 10, 20, 30):
    p = hear()
    text("|".join(block["text"] for block in p["params"]["prompt"]))
    update("usage_update", used=used, size=100)
    answer(p, stopReason="end_turn")
hear()
"""
    async with seats.open(agent(script), primer="who you are") as session:
        words = ["/help", "one", "two", "three", "four"]  # a command of the agent's own goes alone
        told = [of(Text, await turn(session, word))[0].text for word in words]
    assert told == ["/help", "who you are|one", "two", "who you are|three", "four"]


async def test_an_agent_that_cannot_begins_anew_and_says_so(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    script = [{"do": [{"say": "{turn}: {primer}"}]}]
    command = [*fakecli(script, "aegis_acp.testing"), "--no-resume", "--no-load"]
    first, second = await twice(seats, command, tmp_path / "kept", "one", "two", primer=PRIMER)
    assert of(Text, second)[0].text == f"1: {PRIMER}", "it is primed again"
    assert "cannot go on with a former session" in of(Notice, second)[0].text
    assert of(SessionStarted, second)[0].session_id != of(SessionStarted, first)[0].session_id


async def test_a_session_that_repeats_nothing_is_another(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    """Qwen Code opens an empty one when it does not know the session that it is to load."""
    command = [*fakecli(SCRIPT, "aegis_acp.testing"), "--no-resume", "--replay", "no"]
    with pytest.raises(SessionGone, match="in which nothing was ever said"):
        await twice(seats, command, tmp_path / "kept", "one", "again")
    assert seats.left() == []


async def test_a_session_that_never_had_a_turn_is_not_missed(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    """Gemini keeps no such session; and who was resumed into it would never be primed."""
    keys = {"command": fakecli([{"do": [{"say": "{primer}"}]}], "aegis_acp.testing")}
    async with seats.open(keys, seat_folder=tmp_path / "kept") as session:
        [started, *_] = of(SessionStarted, list(await session.receive()))
    async with seats.open(keys, seat_folder=tmp_path / "kept", resume=started.session_id, primer=PRIMER) as session:
        events = await turn(session, "one")
    assert of(Text, events)[0].text == PRIMER and of(Notice, events) == []


async def test_what_the_folder_keeps_may_be_damaged(seats: Seats, fakecli: Fake, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "acp.json").write_text("{")
    with pytest.raises(LaunchError, match=r"cannot go on with the session nobody: Session not found: nobody"):
        async with seats.open({"command": fakecli(SCRIPT, "aegis_acp.testing")}, seat_folder=folder, resume="nobody"):
            raise AssertionError("it opened")


class Minutes(AcpDriver):
    once_a_minute = True


@pytest.mark.parametrize(("opened", "now", "waits"), [(59.0, 61.0, 0), (65.0, 90.0, 30), (65.0, 119.0, 1)])
async def test_a_session_is_not_loaded_in_the_minute_of_its_start(
    seats: Seats, fakecli: Fake, tmp_path: Path, clock: TestClock, opened: float, now: float, waits: int
) -> None:
    times, asked = iter([opened, opened, now, now + waits]), trio.Event()

    def clockwork() -> float:
        if (time := next(times)) == now:
            asked.set()
        return time

    seats.driver = Minutes(now=clockwork)
    keys, kept = {"command": fakecli(SCRIPT, "aegis_acp.testing")}, tmp_path / "kept"
    async with seats.open(keys, seat_folder=kept) as session:
        [started, *_] = of(SessionStarted, await turn(session, "one"))

    async def pass_time() -> None:
        await asked.wait()
        clock.jump(waits - 0.5)
        await settled()
        assert len(seats.processes) == 1, "nothing is started before"
        clock.jump(0.5)

    async with trio.open_nursery() as nursery:
        if waits:
            nursery.start_soon(pass_time)
        async with seats.open(keys, seat_folder=kept, resume=started.session_id) as session:
            events = await turn(session, "again")
    assert of(Text, events)[-1].text == "turn 2; before: one"
    assert [f"started {waits} s later" in notice.text for notice in of(Notice, events)] == [True] * bool(waits)


def test_a_record_of_another_shape_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "acp.json").write_text('{"session_id": 5, "opened": "x", "told": 1, "paid": -1}')
    record = SessionRecord(tmp_path / "acp.json")
    seat: Any = type("S", (), {"folder": tmp_path})
    assert SessionRecord.of(seat) == record
