"""The driver over real pipes; the CLI is one that says recordings again, or a few lines of Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from aegis.driver import Decision, PermissionRequest, Seat
from aegis.errors import LaunchError
from aegis.events import Event, Text, TurnEnded, Unknown
from aegis.testing.clock import TestClock, settled
from aegis_claude.driver import PROVEN, ClaudeDriver, ClaudeSession

Seats = Callable[..., Seat]
Opened = Callable[[Seat], AbstractAsyncContextManager[ClaudeSession]]
Replayed = Callable[[str], list[str]]

# What every one of these begins with: it answers `initialize`, reads the prompt, and has a word for the rest.
FAKE = """
import json, os, sys
def hear(): return json.loads(sys.stdin.readline())
def say(*values): [print(v if isinstance(v, str) else json.dumps(v), flush=True) for v in values]
def agree(answer=None):
    number = hear()["request_id"]
    response = {"subtype": "success", "request_id": number, "response": answer}
    say({"type": "control_response", "response": response})
RESULT = {"type": "result", "subtype": "success", "is_error": False}
def ask(number, tool, **given):
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": given, "tool_use_id": "t" + number}
    say({"type": "control_request", "request_id": number, "request": request})
def reply(heard):
    say({"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": json.dumps(heard)}]}})
agree()
"""


def fake(script: str) -> list[str]:
    return [sys.executable, "-I", "-c", FAKE + script, "claude"]


async def turn(session: ClaudeSession) -> list[Event]:
    await session.send("go")
    return await until_end(session)


async def until_end(session: ClaudeSession) -> list[Event]:
    events: list[Event] = []
    with trio.fail_after(20):
        while not any(type(event) is TurnEnded for event in events):
            events += await session.receive()
    return events


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if type(event) is Text]


async def test_a_recorded_session_is_driven_to_its_end(seat: Seats, opened: Opened, replayed: Replayed) -> None:
    asked: list[str] = []

    async def judge(request: PermissionRequest) -> Decision:
        asked.append(request.title)
        return Decision("allowed") if "yes" in request.title else Decision("denied", "not on a Friday")

    async with opened(seat(judge, command=replayed("permission"))) as session:
        events = await turn(session)
    assert asked == ["touch yes", "touch no"] and events[-1].outcome == "completed"


async def test_a_turn_that_is_taken_back_before_it_begins_ends(seat: Seats, opened: Opened, replayed: Replayed) -> None:
    async with opened(seat(command=replayed("interrupt_queued"))) as session:
        await session.send("hang")
        await session.interrupt()
        assert (await until_end(session))[-1].outcome == "cancelled"
        assert (await turn(session))[-1].outcome == "completed"


async def test_an_unknown_session_is_a_sentence(seat: Seats, opened: Opened, replayed: Replayed) -> None:
    with pytest.raises(LaunchError, match="did not start: No conversation found with session ID: 99999999"):
        async with opened(seat(command=replayed("unknown_session"))):
            raise AssertionError("it opened")


async def test_a_request_that_is_no_utf8_is_refused_and_nobody_is_asked(seat: Seats, opened: Opened) -> None:
    async def judge(request: PermissionRequest) -> Decision:
        raise AssertionError("asked")

    request = b'{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"rm caf%s"}}'
    for bad in (b"\xe9", b"\\udce9"):
        line = b'{"type":"control_request","request_id":7,"request":%s}\n' % (request % bad)
        script = f"hear(); sys.stdout.buffer.write({line!r}); sys.stdout.flush(); reply(hear()); say(RESULT)"
        async with opened(seat(judge, command=fake(script))) as session:
            [said] = texts(await turn(session))
        assert '"request_id": 7' in said and '"behavior": "deny"' in said and "UTF-8" in said


async def test_an_answer_to_what_nobody_asked_is_said_at_once(seat: Seats, opened: Opened) -> None:
    script = FAKE.replace('hear()["request_id"]', 'hear() and "other"') + "hear()"
    with pytest.raises(LaunchError, match="answered 'other', which nobody asked"):
        async with opened(seat(command=[sys.executable, "-I", "-c", script, "claude"])):
            raise AssertionError("it opened")


async def test_a_cli_that_is_missing_is_named(seat: Seats, opened: Opened) -> None:
    with pytest.raises(LaunchError, match="'no-such-claude': it is not installed, or not on PATH"):
        async with opened(seat(command=["no-such-claude"])):
            raise AssertionError("it opened")


async def test_a_cli_that_dies_at_start_has_its_last_words_quoted(seat: Seats, opened: Opened) -> None:
    script = "import sys; sys.exit('not signed in')"
    with pytest.raises(LaunchError, match="exited with code 1; it said: not signed in"):
        async with opened(seat(command=[sys.executable, "-I", "-c", script])):
            raise AssertionError("it opened")


async def test_a_cli_that_dies_mid_turn_says_so(seat: Seats, opened: Opened) -> None:
    async with opened(seat(command=fake("hear(); reply(1); sys.stderr.write('oh no'); sys.exit(3)"))) as session:
        await session.send("go")
        assert texts(list(await session.receive())) == ["1"]
        with pytest.raises(LaunchError, match="exited with code 3; it said: oh no"):
            await session.receive()


async def test_a_cli_that_never_answers_is_given_up(
    seat: Seats, opened: Opened, tmp_path: Path, clock: TestClock
) -> None:
    script = "import pathlib, sys; sys.stdin.readline(); pathlib.Path('asked').touch(); sys.stdin.read()"

    async def open_it() -> None:
        with pytest.raises(LaunchError, match="has not answered 'initialize' within 60 s"):
            async with opened(seat(command=[sys.executable, "-I", "-c", script])):
                raise AssertionError("it opened")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_it)
        while not (tmp_path / "asked").exists():
            await trio.lowlevel.checkpoint()
        clock.jump(61)


async def test_lines_that_are_no_messages_are_kept_and_the_turn_goes_on(seat: Seats, opened: Opened) -> None:
    script = "hear(); say('garbage', '', '42', '{\"type\": \"news\"}', {**RESULT, 'usage': 'much'}); hear()"
    async with opened(seat(command=fake(script))) as session:
        events = await turn(session)
    assert [e.raw for e in events if type(e) is Unknown] == ["garbage", 42, {"type": "news"}]
    assert events[-1].outcome == "completed"


async def test_what_is_said_between_turns_is_heard(seat: Seats, opened: Opened) -> None:
    async with opened(seat(command=fake("reply('early'); hear(); say(RESULT); reply('late'); hear()"))) as session:
        assert texts(list(await session.receive())) == ['"early"']
        after = texts(await turn(session)) or texts(list(await session.receive()))
        assert after == ['"late"']


async def test_an_allowed_tool_is_given_its_input_back(seat: Seats, opened: Opened) -> None:
    async def allow(request: PermissionRequest) -> Decision:
        return Decision("allowed")

    script = "hear(); ask('7', 'WebFetch', url='http://x'); reply(hear()); say(RESULT); hear()"
    async with opened(seat(allow, command=fake(script))) as session:
        [answer] = texts(await turn(session))
    assert '"behavior": "allow", "updatedInput": {"url": "http://x"}' in answer and '"request_id": "7"' in answer


async def test_a_question_taken_back_in_the_same_breath_is_not_answered(seat: Seats, opened: Opened) -> None:
    async def judge(request: PermissionRequest) -> Decision:
        if request.tool == "WebFetch":
            await trio.sleep_forever()
        return Decision("denied", "no")

    script = """
hear()
request = {"subtype": "can_use_tool", "tool_name": "WebFetch", "input": {}}
asked = {"type": "control_request", "request_id": "7", "request": request}
say(asked, *({"type": "control_cancel_request", "request_id": number} for number in "78"))
ask('9', 'Bash', command='x')
say(RESULT)
answered = []
while (line := hear())["type"] != "user":
    answered.append(line["response"]["request_id"])
reply(answered)
say(RESULT)
hear()
"""
    async with opened(seat(judge, command=fake(script))) as session:
        await turn(session)
        await settled()
        assert texts(await turn(session)) == ['["9"]']


async def test_two_questions_at_once_are_answered_as_they_are_decided(seat: Seats, opened: Opened) -> None:
    second = trio.Event()

    async def judge(request: PermissionRequest) -> Decision:
        if request.id == "t1":
            await second.wait()
        else:
            second.set()
        return Decision("denied", request.id)

    script = "hear(); ask('1', 'Skill'); ask('2', 'Skill'); reply([hear(), hear()]); say(RESULT); hear()"
    async with opened(seat(judge, command=fake(script))) as session:
        [answers] = texts(await turn(session))
    assert '"t1"' in answers and '"t2"' in answers


@pytest.mark.parametrize(
    ("permission", "tool", "answer"),
    [
        ("full", "Bash", '"behavior": "allow"'),
        ("auto", "mcp__aegis__whoami", '"behavior": "allow"'),
        ("auto", "Bash", "nobody was to be asked"),
        ("write", "Bash", "nobody was to be asked"),
        ("write", "mcp__aegistwo__rm", "nobody was to be asked"),
    ],
)
async def test_what_the_driver_decides_and_what_it_asks(
    seat: Seats, opened: Opened, permission: str, tool: str, answer: str
) -> None:
    script = f"hear(); ask('7', {tool!r}, command='x'); reply(hear()); say(RESULT); hear()"
    async with opened(seat(permission=permission, command=fake(script))) as session:
        assert answer in texts(await turn(session))[0]


@pytest.mark.parametrize(
    ("permission", "path", "reason", "kind"),
    [
        ("write", "{cwd}/a.py", "", ""),  # nobody is asked
        ("write", "{cwd}/sub/../a.py", "mode", ""),
        ("write", "{cwd}/.git/hooks/pre-commit", "safetyCheck", "other"),
        ("write", "a.py", "", "other"),  # in which folder?
        ("write", "{cwd}/../a.py", "workingDir", "edit"),
        ("write", "{cwd}/.aegis.yaml", "", "other"),
        ("write", "{cwd}/.envrc", "", "other"),
        ("auto", "{cwd}/a.py", "", "edit"),
        ("auto", "{cwd}/.git/hooks/pre-commit", "safetyCheck", "edit"),
    ],
)
async def test_an_edit_of_what_runs_or_governs_something_is_no_mere_edit(
    seat: Seats, opened: Opened, tmp_path: Path, permission: str, path: str, reason: str, kind: str
) -> None:
    asked: list[PermissionRequest] = []

    async def judge(request: PermissionRequest) -> Decision:
        asked.append(request)
        return Decision("denied", "nobody was to be asked")

    given = {"file_path": path.format(cwd=tmp_path), "content": ""}
    request = {"subtype": "can_use_tool", "tool_name": "Write", "input": given, "decision_reason_type": reason}
    script = f"hear(); say({{'type': 'control_request', 'request_id': '7', 'request': {request}}}); reply(hear()); "
    async with opened(seat(judge, permission=permission, command=fake(script + "say(RESULT); hear()"))) as session:
        [answer] = texts(await turn(session))
    assert [request.kind for request in asked] == [kind] * bool(kind)
    assert ('"behavior": "allow"' in answer) is not bool(kind)


READ = """
agree({"effective": {"permissions": {"allow": ["Bash(mkdir *)"]}}})
applied = hear()
say({"type": "control_response", "response": {"subtype": "success", "request_id": applied["request_id"]}})
hear()
"""


@pytest.mark.parametrize("tool", ["Bash", "Edit", "Write", "NotebookEdit", "ExitPlanMode"])
async def test_read_denies_every_change_with_a_reason(seat: Seats, opened: Opened, tool: str) -> None:
    async def allow(request: PermissionRequest) -> Decision:
        return Decision("allowed")

    script = READ + f"ask('7', {tool!r}); reply(hear()); say(RESULT); hear()"
    async with opened(seat(allow, permission="read", command=fake(script))) as session:
        assert f"permission is read: it may look, and {tool} does more" in texts(await turn(session))[0]


async def test_read_asks_again_what_the_settings_allow(seat: Seats, opened: Opened) -> None:
    script = READ + "reply(applied['request']); say(RESULT); hear()"
    async with opened(seat(permission="read", command=fake(script))) as session:
        assert '"permissions": {"ask": ["Bash(mkdir *)"]}' in texts(await turn(session))[0]


async def test_a_cli_that_cannot_be_held_to_read_is_not_started(seat: Seats, opened: Opened) -> None:
    script = """
error = {"subtype": "error", "request_id": hear()["request_id"], "error": "unsupported_request"}
say({"type": "control_response", "response": error})
hear()
"""
    with pytest.raises(LaunchError, match=f"refuses 'get_settings': unsupported_request; release {PROVEN} is known"):
        async with opened(seat(permission="read", command=fake(script))):
            raise AssertionError("it opened")


async def test_a_request_we_do_not_know_is_answered_with_an_error(seat: Seats, opened: Opened) -> None:
    script = """
hear()
say({"type": "control_request", "request_id": "7", "request": {"subtype": "dance"}})
reply(hear())
say(RESULT)
hear()
"""
    async with opened(seat(command=fake(script))) as session:
        [answer] = texts(await turn(session))
    assert '"subtype": "error"' in answer and "dance" in answer


async def test_an_interrupt_when_idle_says_nothing_to_the_cli(seat: Seats, opened: Opened) -> None:
    async with opened(
        seat(command=fake("reply(hear()['type']); say(RESULT); reply(hear()['type']); hear()"))
    ) as session:
        await session.interrupt()
        assert texts(await turn(session)) == ['"user"']
        await session.interrupt()
        await session.send("again")
        assert texts(list(await session.receive())) == ['"user"']


async def test_what_is_raised_inside_is_not_wrapped(seat: Seats, opened: Opened) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(seat(command=fake("hear()"))):
            raise ZeroDivisionError


def test_the_probe_finds_what_is_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\necho '9.8.7 (Claude Code)'\n")
    program.chmod(0o755)
    before = os.environ["PATH"]
    try:
        os.environ["PATH"] = str(tmp_path)
        probe = ClaudeDriver().probe()
        program.unlink()
        missing = ClaudeDriver().probe()
    finally:
        os.environ["PATH"] = before
    assert (probe.found, probe.version, probe.path, probe.proven) == (True, "9.8.7", str(program), PROVEN)
    assert not missing.found and "npm install" in missing.hint
