"""Agents that break the protocol, the conversation or themselves: what is said of it, and that the next turn works."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio

import aegis_acp.plugin
from aegis.driver import Decision, PermissionRequest
from aegis.errors import LaunchError, Refused
from aegis.events import Text, ToolCall, ToolResult, TurnEnded, Unknown
from aegis.testing.agent_contract import LiveAgent
from aegis.testing.contract_base import of
from aegis.testing.plugin import Opened
from aegis.testing.seats import Seats, heard, turn

Agent = Callable[[str], dict[str, Any]]
Fake = Callable[..., list[str]]
Opens = Callable[[list[str]], AbstractAsyncContextManager[Any]]
TURN = "opened(); p = hear(); "
END = "; answer(p, stopReason='end_turn'); hear()"


@pytest.fixture
def kernel_of(project: Path, kernel_with: Opened) -> Opens:
    """Return what opens a kernel whose profile `fake` runs this command."""

    def opened(command: list[str]) -> AbstractAsyncContextManager[Any]:
        profile = {"provider": "acp", "command": command}
        (project / ".aegis.yaml").write_text(json.dumps({"agents": {"fake": profile}}))
        return kernel_with(acp=aegis_acp.plugin)

    return opened


# ---------------------------------------------------------------------------------------------------- through the live


async def test_no_second_prompt_is_sent_while_it_is_busy(kernel_of: Opens, fakecli: Fake, tmp_path: Path) -> None:
    """This agent fails every prompt that comes in the middle of a turn."""
    free = tmp_path / "free"
    script = [
        {"when": "hold", "do": [{"say": "begun"}, {"wait": {"file": str(free)}}, {"say": "held"}]},
        {"do": [{"say": "turn {turn}"}]},
    ]
    async with kernel_of(fakecli(script, "aegis_acp.testing")) as kernel:
        live = LiveAgent(kernel, await kernel.roster.spawn("fake", "lucid-knuth"))
        async with live.hearing(Text):
            first = await live.tell("hold")
        more = [await live.tell(words) for words in ("one", "two")]
        assert live.agent.state == "working"
        free.touch()
        with trio.fail_after(30):
            ends = [await kernel.post.wait_turn(letter) for letter in (first, *more)]
    assert [end.outcome for end in ends] == ["completed"] * 3
    assert ends[1] == ends[2] != ends[0], "what waited is one turn"


@pytest.mark.parametrize("status", [400, 401, 429, 503, 529])
async def test_a_model_error_is_a_failed_turn_its_sender_reads_and_the_next_works(
    kernel_of: Opens, fakecli: Fake, status: int
) -> None:
    words = f"{status} the prompt is made of cheese"
    script = [{"when": "break", "do": [{"fail": words}]}, {"do": [{"say": "better"}]}]
    async with kernel_of(fakecli(script, "aegis_acp.testing")) as kernel:
        live = LiveAgent(kernel, await kernel.roster.spawn("fake", "lucid-knuth"))
        end = await live.turn("break")
        assert end.outcome == "failed" and words in end.reason
        [news] = kernel.post.letters("human:anna")
        assert words in news.envelope.body
        assert (await live.turn("and now")).reply == "better"
        assert live.agent.state == "idle"


@pytest.mark.parametrize("like", [[], ["--no-resume"], ["--no-load"]], ids=["resume", "load", "resume-only"])
async def test_a_conversation_the_agent_does_not_know_is_begun_anew_and_said(
    kernel_of: Opens, fakecli: Fake, environment: dict[str, str], like: list[str]
) -> None:
    command = [*fakecli([{"do": [{"say": "turn {turn}"}]}], "aegis_acp.testing"), *like]
    async with kernel_of(command) as kernel:
        live = LiveAgent(kernel, await kernel.roster.spawn("fake", "lucid-knuth"))
        assert (await live.turn("one")).reply == "turn 1"
        former = live.agent.session_id
    (Path(environment["HOME"]) / ".fakecli" / f"acp-{former}.json").unlink()
    async with kernel_of(command) as kernel:
        live = LiveAgent(kernel, kernel.roster.find("lucid-knuth"))
        assert (await live.turn("two")).reply == "turn 1"
        assert live.agent.began == "restarted" and live.agent.session_id not in ("", former)


# -------------------------------------------------------------------------------------------------------- on its pipes


async def test_what_comes_in_another_order_is_one_call_with_one_result(seats: Seats, agent: Agent) -> None:
    script = TURN + (
        "update('tool_call_update', toolCallId='c1', status='completed', rawOutput='done');"
        "update('tool_call_update', toolCallId='c1', status='in_progress');"
        "update('tool_call', toolCallId='c1', title='ls', status='pending');"
        "text('said'); answer(p, stopReason='end_turn'); text('late'); p = hear(); text('next')" + END
    )
    async with seats.open(agent(script)) as session:
        first, second = await turn(session, "go"), await turn(session, "go on")
    assert [call.id for call in of(ToolCall, first)] == [result.id for result in of(ToolResult, first)] == ["c1"]
    assert of(ToolResult, first)[0].text == "done" and not of(ToolResult, first)[0].is_error
    assert [event.text for event in of(Text, [*first, *second])] == ["said", "late", "next"], "nothing is lost"
    assert len(of(TurnEnded, first)) == len(of(TurnEnded, second)) == 1


async def test_a_second_answer_ends_no_other_turn(seats: Seats, agent: Agent) -> None:
    script = TURN + (
        "answer(p, stopReason='end_turn'); answer(p, stopReason='refusal'); say({'id': p['id'] - 1, 'result': {}});"
        "p = hear(); text('still here')" + END
    )
    async with seats.open(agent(script)) as session:
        first, second = await turn(session, "go"), await turn(session, "go on")
    assert [end.outcome for end in of(TurnEnded, [*first, *second])] == ["completed"] * 2
    assert [event.text for event in of(Text, second)] == ["still here"]


@pytest.mark.parametrize("written", ["str(p['id'])", "float(p['id'])"])
async def test_an_answer_whose_id_is_written_otherwise_ends_its_turn(seats: Seats, agent: Agent, written: str) -> None:
    script = TURN + f"say({{'id': {written}, 'result': {{'stopReason': 'end_turn'}}}}); hear()"
    async with seats.open(agent(script)) as session:
        assert of(TurnEnded, await turn(session, "go"))[0].outcome == "completed"


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": 99, "result": {"stopReason": "end_turn"}}', b'{"id": "none", "result": {}}',
        b'{"id": null, "error": {"code": -32700, "message": "cannot be read"}}', b'{"id": %d, "result": {"stop',
    ],
)  # fmt: skip
async def test_an_answer_that_belongs_to_nothing_fails_the_turn_with_a_word(
    seats: Seats, agent: Agent, line: bytes
) -> None:
    said = f"line = {line!r}; line = line % p['id'] if b'%d' in line else line; "
    script = TURN + said + "sys.stdout.buffer.write(line + b'\\n'); sys.stdout.flush(); p = hear()" + END
    async with seats.open(agent(script)) as session:
        events = await turn(session, "go")
        assert of(TurnEnded, events)[0].outcome == "failed" and of(TurnEnded, events)[0].reason
        assert of(Unknown, events)
        assert of(TurnEnded, await turn(session, "go on"))[0].outcome == "completed"


@pytest.mark.parametrize("number", ["", "'id': None, "], ids=["without an id", "null"])
async def test_a_question_that_nobody_could_answer_holds_nothing_up(seats: Seats, agent: Agent, number: str) -> None:
    script = TURN + (
        "real, say = say, lambda m: real({" + number + "**{k: v for k, v in m.items() if k != 'id'}});"
        "ask(7, kind='execute'); say = real; text('and on')" + END
    )
    async with seats.open(agent(script)) as session:
        events = await turn(session, "go")
    assert [event.text for event in of(Text, events)] == ["and on"]
    assert seats.asked == [] and len(of(Unknown, events)) == 1


async def test_a_request_that_is_no_utf8_is_answered_and_nobody_is_asked(seats: Seats, agent: Agent) -> None:
    line = b'{"jsonrpc":"2.0","id":"a","method":"session/request_permission","params":{"x":"caf\xe9"}}\n'
    said = f"sys.stdout.buffer.write({line!r}); sys.stdout.flush(); text(str(hear()['error']['code']))"
    async with seats.open(agent(TURN + said + END)) as session:
        assert [event.text for event in of(Text, await turn(session, "go"))] == ["-32700"]
    assert seats.asked == []


@pytest.mark.parametrize(("said", "outcome"), [("", "cancelled"), ("text('all of it');", "completed")])
async def test_an_interrupted_turn_of_which_nothing_was_heard_is_not_completed(
    seats: Seats, agent: Agent, said: str, outcome: str
) -> None:
    """OpenCode, trying its model again, answers a cancel as if it had come to the end of its turn."""
    script = TURN + said + "update('usage_update', used=1, size=9); assert hear()['method'] == 'session/cancel'" + END
    async with seats.open(agent(script)) as session:
        await session.send("go")
        await session.interrupt()
        [end] = of(TurnEnded, await heard(session, TurnEnded))
    assert end.outcome == outcome


async def test_an_agent_that_exits_while_it_asks_takes_its_question_along(seats: Seats, agent: Agent) -> None:
    asked, taken_back = trio.Event(), trio.Event()

    async def think(request: PermissionRequest) -> Decision:
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            taken_back.set()
        raise AssertionError

    seats.decide = think
    script = TURN + "ask(1, kind='execute', title='rm x'); hear(); sys.exit('enough')"
    async with seats.open(agent(script)) as session:
        await session.send("go")
        await asked.wait()
        os.kill(seats.processes[0].pid, signal.SIGTERM)  # from outside, as a person would
        with pytest.raises(LaunchError, match="was ended by SIGTERM"):
            await heard(session, TurnEnded)
    assert taken_back.is_set()
    assert seats.left() == []


@pytest.mark.parametrize(
    "options",
    ["[{'optionId': 'x', 'name': 'x', 'kind': 'of_a_later_version'}]", "[{'name': 'no id'}]", "'none'", "None"],
)
async def test_options_that_cannot_be_chosen_are_an_error_and_nobody_is_asked(
    seats: Seats, agent: Agent, options: str
) -> None:
    script = TURN + f"ask(7, {options}, kind='execute'); text(str(hear()['error']['code']))" + END
    async with seats.open(agent(script)) as session:
        events = await turn(session, "go")
    assert [event.text for event in of(Text, events)] == ["-32602"]
    assert seats.asked == [] and len(of(Unknown, events)) == 1


async def test_one_request_sent_twice_is_answered_twice_and_asked_apart(seats: Seats, agent: Agent) -> None:
    script = TURN + (
        "ask(7, kind='execute'); ask(7, kind='execute'); got = [hear()['result']['outcome'] for _ in range(2)];"
        "text(str([g['optionId'] for g in got]))" + END
    )
    async with seats.open(agent(script)) as session:
        events = await turn(session, "go")
    assert [event.text for event in of(Text, events)] == ["['p1', 'p1']"]
    assert len(seats.asked) == 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"options": {"nope": "x"}}, r"has no option 'nope' \(it has: model\)"),
        ({"model": "gone"}, "refused 'session/set_config_option': there is no model 'gone'"),
    ],
)
async def test_an_option_that_does_not_exist_is_refused(
    seats: Seats, agent: Agent, keys: dict[str, Any], words: str
) -> None:
    script = """
choices = [{"value": "small", "name": "small"}]
option = {"id": "model", "name": "m", "category": "model", "type": "select", "currentValue": "small"}
opened(configOptions=[option | {"options": choices}])
fail(hear(), -32602, "there is no model 'gone'")
hear()
"""
    with pytest.raises((LaunchError, Refused), match=words):
        async with seats.open(agent(script) | keys):
            raise AssertionError("it opened")
    assert seats.left() == []
