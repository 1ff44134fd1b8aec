"""The driver over real pipes, with agents of a few lines that do what agents have been seen to do, and worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from aegis.driver import Decision, McpServer, PermissionRequest
from aegis.errors import LaunchError, Refused
from aegis.events import Notice, SessionStarted, Text, ToolCall, ToolResult, TurnEnded, Unknown
from aegis.testing.clock import TestClock, settled
from aegis.testing.contract_base import of
from aegis.testing.seats import Seats, heard, turn

Agent = Callable[[str], dict[str, Any]]
TURN = "opened(); p = hear(); "
END = "; answer(p, stopReason='end_turn'); hear()"


async def said(seats: Seats, keys: dict[str, Any], prompt: str = "go") -> list[Any]:
    async with seats.open(keys) as session:
        return await turn(session, prompt)


# ------------------------------------------------------------------------------------------------------------ opening


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("fail(hear(), -32603, 'no')", "the agent refused 'initialize': no"),
        (
            "hello(); fail(hear(), -32603, 'Internal error', details='no model')",
            "'session/new': Internal error: no model",
        ),
        ("hello(); fail(hear(), -32000, 'Authentication required')", "sign in first .Authentication required."),
        ("answer(hear(), protocolVersion=2)", "speaks version 2 of ACP; aegis speaks version 1"),
        ("hello(); hear(); sys.exit('the moon is full')", "exited with code 1; it said: the moon is full"),
        ("hello(); answer(hear())", "a session without an id"),
        ("hello(); say({'id': hear()['id'], 'result': 17})", "a session without an id"),
    ],
)
async def test_a_session_that_does_not_open_says_why(seats: Seats, agent: Agent, script: str, words: str) -> None:
    with pytest.raises((LaunchError, Refused), match=words):
        async with seats.open(agent(script)):
            raise AssertionError("it opened")
    assert seats.left() == []


async def test_an_agent_that_never_answers_is_given_up(seats: Seats, agent: Agent, clock: TestClock) -> None:
    async def open_it() -> None:
        with pytest.raises(LaunchError, match="has not answered 'initialize' within 60 s"):
            async with seats.open(agent("hear(); sys.stderr.write('asked'); sys.stdin.read()")):
                raise AssertionError("it opened")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_it)
        while not seats.processes:
            await trio.lowlevel.checkpoint()
        await settled()
        clock.jump(61)


async def test_without_a_command_there_is_nothing_to_start(seats: Seats) -> None:
    with pytest.raises(Refused, match=r"needs `command: \[...\]`"):
        async with seats.open({}):
            raise AssertionError("it opened")


@pytest.mark.parametrize("permission", ["read", "write"])
async def test_a_permission_that_nothing_holds_is_refused_before_a_start(
    seats: Seats, agent: Agent, permission: str
) -> None:
    with pytest.raises(Refused, match=rf"nothing holds this agent to the permission '{permission}'.*mode_map"):
        async with seats.open(agent("opened()") | {"permission": permission}):
            raise AssertionError("it opened")
    assert seats.processes == []


async def test_a_mode_that_it_lacks_is_refused(seats: Seats, agent: Agent) -> None:
    offer = "opened(modes={'currentModeId': 'a', 'availableModes': [{'id': 'a', 'name': 'A'}]}); hear()"
    with pytest.raises(Refused, match=r"no mode, which the permission 'read' needs, 'plan' \(it has: a\)"):
        async with seats.open(agent(offer) | {"permission": "read", "mode_map": {"read": "plan"}}):
            raise AssertionError("it opened")


async def test_mode_model_and_options_are_set(seats: Seats, agent: Agent) -> None:
    script = """
def select(name, category, *values):
    choices = [{"value": value, "name": value} for value in values]
    option = {"id": name, "name": name, "category": category, "type": "select"}
    return option | {"currentValue": values[0], "options": choices}
options = [select("m", "model", "small", "large"), select("e", "thought_level", "low", "high")]
modes = {"currentModeId": "a", "availableModes": [{"id": "a", "name": "A"}, {"id": "plan", "name": "P"}]}
opened(modes=modes, configOptions=options)
heard = []
for _ in range(3):
    m = hear()
    heard.append([m["method"], {k: v for k, v in m["params"].items() if k != "sessionId"}])
    for option in options:
        if m["params"].get("configId") == option["id"]:
            option["currentValue"] = m["params"]["value"]
    answer(m, **({"configOptions": options} if "config" in m["method"] else {}))
p = hear(); text(json.dumps(heard)); answer(p, stopReason="end_turn"); hear()
"""
    keys = {"permission": "read", "mode_map": {"read": "plan"}, "model": "large", "options": {"e": "high"}}
    events = await said(seats, agent(script) | keys)
    [started, *_] = of(SessionStarted, events)
    assert (started.model, started.permission_mode) == ("large", "plan")
    assert of(Text, events)[0].text == (
        '[["session/set_mode", {"modeId": "plan"}], '
        '["session/set_config_option", {"configId": "m", "value": "large"}], '
        '["session/set_config_option", {"configId": "e", "value": "high"}]]'
    )


async def test_what_it_is_told_beside_the_protocol(seats: Seats, agent: Agent) -> None:
    script = (
        "hello(); n = hear(); answer(n, sessionId='s1'); p = hear(); text(json.dumps(n['params'].get('_meta')))" + END
    )
    [told] = of(Text, await said(seats, agent(script) | {"meta": {"its": {"own": [1]}}}))
    [untold] = of(Text, await said(seats, agent(script)))
    assert (told.text, untold.text) == ('{"its": {"own": [1]}}', "null")


async def test_a_model_that_nobody_may_choose_is_refused(seats: Seats, agent: Agent) -> None:
    with pytest.raises(Refused, match="lets nobody choose its model"):
        async with seats.open(agent("opened(); hear()") | {"model": "large"}):
            raise AssertionError("it opened")


async def test_an_agent_that_takes_no_servers_is_said_to(seats: Seats, agent: Agent) -> None:
    script = (
        "hello(mcpCapabilities={}); n = hear(); answer(n, sessionId='s1'); p = hear(); text(str(n['params']))" + END
    )
    async with seats.open(agent(script), servers=[McpServer("aegis", "http://127.0.0.1:1/mcp")]) as session:
        events = await turn(session, "go")
    assert "'mcpServers': []" in of(Text, events)[0].text
    assert "it cannot be given: aegis" in of(Notice, events)[0].text


async def test_it_lends_neither_files_nor_a_terminal(seats: Seats, agent: Agent) -> None:
    script = """
h = hear(); answer(h, protocolVersion=1); answer(hear(), sessionId="s1"); p = hear()
say({"id": "f", "method": "fs/write_text_file", "params": {"sessionId": "s1", "path": "/x", "content": ""}})
text(json.dumps([h["params"]["clientCapabilities"], hear()["error"]["code"]])); answer(p, stopReason="end_turn"); hear()
"""
    [words] = [event.text for event in of(Text, await said(seats, agent(script)))]
    assert words == '[{"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false}, -32601]'


# -------------------------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        ("answer(p, stopReason='end_turn')", "completed", ""),
        ("answer(p, stopReason='cancelled')", "cancelled", "interrupted"),
        ("answer(p, stopReason='refusal')", "refused", "the model refused"),
        ("answer(p, stopReason='max_tokens')", "truncated", "max_tokens"),
        ("answer(p, stopReason='max_turn_requests')", "truncated", "max_turn_requests"),
        ("answer(p, stopReason='of_a_later_version')", "completed", "of_a_later_version"),
        ("answer(p)", "failed", "the agent ended the turn without saying how"),
        ("fail(p, 400, json.dumps({'error': {'code': 400, 'message': 'too long'}}))", "failed", "too long"),
        ("fail(p, 401, 'bad key')", "failed", "bad key"),
        ("fail(p, 429, 'slow down')", "failed", "slow down"),
        ("fail(p, -32000, 'sign in')", "failed", "sign in"),
        (
            "fail(p, -32603, 'Internal error', errorName='APIError', message='529 x')",
            "failed",
            "Internal error: APIError: 529 x",
        ),
        ("say({'id': p['id'], 'error': 5})", "failed", "5"),
    ],
)
async def test_how_a_turn_ends(seats: Seats, agent: Agent, answer: str, outcome: str, reason: str) -> None:
    events = await said(seats, agent(TURN + answer + "; hear()"))
    assert [(end.outcome, end.reason) for end in of(TurnEnded, events)] == [(outcome, reason)]


async def test_an_agent_that_exits_between_request_and_answer_is_quoted(seats: Seats, agent: Agent) -> None:
    async with seats.open(agent(TURN + "text('begun'); sys.stderr.write('oh no'); sys.exit(3)")) as session:
        await session.send("go")
        assert of(Text, await heard(session, Text))[0].text == "begun"
        with pytest.raises(LaunchError, match="exited with code 3; it said: oh no"):
            await heard(session, TurnEnded)


async def test_a_prompt_to_an_agent_that_is_gone_ends_in_its_last_words(seats: Seats, agent: Agent) -> None:
    async with seats.open(agent("opened(); sys.exit('gone')")) as session:
        with trio.fail_after(10):
            await seats.processes[0]._process.wait()  # noqa: SLF001 - only then the pipe is broken
        await session.send("go")
        with pytest.raises(LaunchError, match="exited with code 1; it said: gone"):
            await heard(session, TurnEnded)


async def test_what_has_no_name_is_kept_and_others_sessions_stay_apart(seats: Seats, agent: Agent) -> None:
    script = (
        TURN + "update('weather', sky='blue');"
        "update('agent_message_chunk', session='s2', content={'type': 'text', 'text': 'x'});"
        "update('agent_message_chunk', content=17); say({'method': '_news'}, 'no message', '', '[]');"
        "say({'method': 'session/update', 'params': 5}); text('mine')" + END
    )
    events = await said(seats, agent(script))
    assert [event.text for event in of(Text, events)] == ["mine"]
    kept = [event.raw for event in of(Unknown, events)]
    assert kept[0] == {"sessionUpdate": "weather", "sky": "blue"}
    assert [type(raw) for raw in kept[1:]] == [dict, dict, str, str, str, dict]
    assert kept[4:6] == ["no message", "[]"]


async def test_halves_of_characters_do_no_harm_in_either_direction(seats: Seats, agent: Agent) -> None:
    script = TURN + "text(p['params']['prompt'][-1]['text']); text('a' + chr(0xd83d))" + END  # json escapes it
    events = await said(seats, agent(script), "half a \ud83d pair")
    assert [event.text for event in of(Text, events)] == ["half a ? pair", "a?"]


# --------------------------------------------------------------------------------------------------------- permission


@pytest.mark.parametrize(
    ("outcome", "options", "answer"),
    [
        ("allowed", "OPTIONS", "{'outcome': 'selected', 'optionId': 'p1'}"),
        ("denied", "OPTIONS", "{'outcome': 'selected', 'optionId': 'p0'}"),
        ("expired", "OPTIONS", "{'outcome': 'selected', 'optionId': 'p0'}"),
        ("cancelled", "OPTIONS", "{'outcome': 'selected', 'optionId': 'p0'}"),
        ("allowed", "OPTIONS[:1]", "{'outcome': 'cancelled'}"),
        ("denied", "OPTIONS[:1]", "{'outcome': 'cancelled'}"),
        ("allowed", "[]", "{'outcome': 'cancelled'}"),
    ],
)
async def test_the_option_is_chosen_by_its_kind(
    seats: Seats, agent: Agent, outcome: Any, options: str, answer: str
) -> None:
    async def decide(request: PermissionRequest) -> Decision:
        return Decision(outcome, "because")

    seats.decide = decide
    script = TURN + f"ask(7, {options}, title='rm x', kind='execute'); text(str(hear()['result']['outcome']))" + END
    events = await said(seats, agent(script))
    assert of(Text, events)[0].text == answer
    [call], [result] = of(ToolCall, events), of(ToolResult, events)
    assert (call.id, call.title, call.kind) == (result.id, "rm x", "execute") == ("c1", "rm x", "execute")
    assert result.is_error is (answer != "{'outcome': 'selected', 'optionId': 'p1'}")


async def test_why_something_was_denied_is_told_with_the_next_prompt(seats: Seats, agent: Agent) -> None:
    async def decide(request: PermissionRequest) -> Decision:
        return Decision("denied", "not on a Friday")

    seats.decide = decide
    script = TURN + "ask(7, title='rm x', kind='execute'); hear(); answer(p, stopReason='end_turn'); p = hear();"
    script += "text(str([b['text'] for b in p['params']['prompt']]))" + END
    async with seats.open(agent(script)) as session:
        await turn(session, "go")
        [told] = of(Text, await turn(session, "and now?"))
    assert told.text == "['Your request to use execute (rm x) was denied: not on a Friday', 'and now?']"


async def test_an_agent_that_ends_its_turn_when_it_is_refused_was_not_interrupted(seats: Seats, agent: Agent) -> None:
    async def decide(request: PermissionRequest) -> Decision:
        return Decision("denied", "not on a Friday")

    seats.decide = decide
    script = TURN + "ask(7, title='rm x', kind='execute'); hear(); answer(p, stopReason='cancelled'); p = hear();"
    script += "text('begun'); hear(); answer(p, stopReason='cancelled'); hear()"
    async with seats.open(agent(script)) as session:
        end = (await turn(session, "go"))[-1]
        await session.send("go")
        await heard(session, Text)
        await session.interrupt()
        [stopped] = of(TurnEnded, await heard(session, TurnEnded))
    assert isinstance(end, TurnEnded)
    assert (end.outcome, end.reason) == ("completed", "the agent ended its turn because execute was not allowed")
    assert (stopped.outcome, stopped.reason) == ("cancelled", "interrupted")


async def test_each_request_is_answered_once_whatever_its_ids(seats: Seats, agent: Agent) -> None:
    """One when there is no turn, two at once for one call, one of another session, one that is none."""
    both = trio.Event()

    async def decide(request: PermissionRequest) -> Decision:
        if len(seats.asked) == 2:
            both.set()
        await both.wait()
        return Decision("allowed")

    seats.decide = decide
    script = (
        "opened(); ask(5, kind='edit'); got = [hear()]; update('ready'); p = hear();"
        "ask(1, title='x', kind='execute'); ask(2, title='x', kind='execute'); ask(3, session='s2');"
        "say({'id': 4, 'method': 'session/request_permission', 'params': {'toolCall': 5}});"
        "got += [hear() for _ in range(4)];"
        "outcome = lambda m: m['error']['code'] if 'error' in m else m['result']['outcome'].get('optionId');"
        "text(str(sorted([m['id'], outcome(m)] for m in got)))" + END
    )
    async with seats.open(agent(script)) as session:
        await heard(session, Unknown)
        [told] = of(Text, await turn(session, "go"))
    assert told.text == "[[1, 'p1'], [2, 'p1'], [3, -32602], [4, -32602], [5, None]]"
    assert len(seats.asked) == 2  # each is put to the kernel, which gives each an id of its own


async def test_an_interrupt_answers_what_is_open_before_it_cancels(seats: Seats, agent: Agent) -> None:
    asked = trio.Event()

    async def decide(request: PermissionRequest) -> Decision:
        if len(seats.asked) == 2:
            asked.set()
        await trio.sleep_forever()
        raise AssertionError

    seats.decide = decide
    script = TURN + (
        "ask(1, kind='execute'); ask(2, kind='execute'); got = [hear() for _ in range(3)];"
        "text(str([m.get('method') or m['result']['outcome']['outcome'] for m in got])); ask(3, kind='edit');"
        "text(hear()['result']['outcome']['outcome']); answer(p, stopReason='end_turn'); hear()"
    )
    async with seats.open(agent(script)) as session:
        await session.send("go")
        await asked.wait()
        await session.interrupt()
        events = await heard(session, TurnEnded)
    assert [e.text for e in of(Text, events)] == ["['cancelled', 'cancelled', 'session/cancel']", "cancelled"]
    assert of(TurnEnded, events)[0].outcome == "cancelled", "a turn of which something was taken back is not completed"
    assert len(seats.asked) == 2


@pytest.mark.parametrize(
    ("permission", "call", "chosen"),
    [
        ("full", "kind='execute'", "p1"),
        ("read", "kind='execute'", "p0"),
        ("read", "kind='edit', locations=[{'path': 'a.txt'}]", "p0"),
        ("write", "kind='edit', locations=[{'path': 'a.txt'}]", "p1"),
        ("auto", "title='aegis__whoami', kind='other'", "p1"),
        ("read", "kind='fetch'", "p0"),
        ("read", "title='mcp__aegis__whoami', kind='other'", "p1"),
    ],
)
async def test_what_a_permission_settles_nobody_is_asked(
    seats: Seats, agent: Agent, permission: str, call: str, chosen: str
) -> None:
    script = TURN + f"ask(7, {call}); text(hear()['result']['outcome']['optionId'])" + END
    events = await said(seats, agent(script) | {"permission": permission, "asks": True})
    assert of(Text, events)[0].text == chosen and seats.asked == []


@pytest.mark.parametrize(
    ("permission", "call"),
    [
        ("auto", "title='aegis_whoami', kind='execute'"),  # a command of that name
        ("auto", "title='aegis_whoami; rm -r x', kind='other'"),
        ("auto", "title='aegis_whoami', kind='other'"),  # of a server that is named `aegis_who`, perhaps
        ("auto", "title='mcp__aegistwo__whoami', kind='other'"),
        ("auto", "title='mcp__aegis__rm', kind='other'"),
        ("write", "kind='edit', locations=[{'path': '../a.txt'}]"),
        ("write", "kind='edit', locations=[{'path': 'a.txt'}, {'path': '/etc/passwd'}]"),
        ("write", "kind='edit', rawInput={'path': '/etc/passwd'}, locations=[{'path': 'a.txt'}]"),
        ("write", "kind='edit'"),
        ("write", "kind='delete', locations=[{'path': 'a.txt'}]"),
        ("write", "kind='edit', locations=[{'path': 'sub/.aegis.yaml'}]"),
    ],
)
async def test_what_it_does_not_settle_is_asked(seats: Seats, agent: Agent, permission: str, call: str) -> None:
    script = TURN + f"ask(7, {call}); hear()" + END
    await said(seats, agent(script) | {"permission": permission, "asks": True})
    assert len(seats.asked) == 1
