"""The fake does what was seen of the real one: each test is a line of what is known about Claude Code."""

import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import psutil
import pytest
import trio

from aegis.clock import new_id
from aegis.errors import LaunchError
from aegis.testing.plane import serving
from aegis.testing.seats import child_of, gone, marked
from aegis_processes.processes import MARK, Command, running

STREAM = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
STDIO = ["--permission-prompt-tool", "stdio"]
SLOW = {"when": "slow", "do": [{"say": "begun"}, {"wait": {"file": "go"}}, {"say": "done"}]}
HANG = {"when": "hang", "do": [{"say": "begun"}, {"never_end": True}]}
EDIT = {"when": "edit", "do": [{"edit": "note.txt", "text": "x"}, {"say": "after: {reply}"}]}
ECHO = {"do": [{"say": "you said {body}"}, {"usage": {"input": 5, "output": 2, "cost": 0.25}}]}
RULES = [SLOW, HANG, EDIT, ECHO]


class Cli:
    """A running fake and what it has said so far and nobody has looked at."""

    def __init__(self, process):
        self.process, self.mark = process, process.command.env[MARK]
        self._said = []

    async def send(self, **message):
        await self.process.write(json.dumps(message).encode() + b"\n")

    async def user(self, words, uuid=""):
        message = {"role": "user", "content": [{"type": "text", "text": words}]}
        await self.send(type="user", message=message, uuid=uuid)

    async def ask(self, subtype, **more):
        await self.send(type="control_request", request_id=subtype, request={"subtype": subtype, **more})
        return (await self.until(type="control_response"))[-1]["response"]

    async def until(self, **like):
        """Return the messages up to the first that is like this."""
        seen = []
        with trio.fail_after(10):
            while True:
                while self._said:
                    seen.append(self._said.pop(0))
                    if like.items() <= seen[-1].items():
                        return seen
                self._said += [json.loads(line) for line in await self.process.lines()]

    async def turn(self, words):
        await self.user(words)
        return await self.until(type="result")

    async def last_words(self):
        with trio.fail_after(10):
            while True:
                try:
                    await self.process.lines()
                except LaunchError as error:
                    return str(error)


@pytest.fixture
def cli(fakecli, environment, project):
    @asynccontextmanager
    async def opened(*flags, rules=RULES):
        command = Command(
            [*fakecli(rules, "aegis_claude.testing"), *STREAM, *flags], environment | {MARK: new_id()}, project
        )
        async with trio.open_nursery() as nursery:
            async with running(command, nursery, LaunchError) as process:
                yield Cli(process)

    return opened


def kinds(messages):
    return [m.get("subtype") or m["type"] for m in messages if m["type"] in ("system", "assistant", "user", "result")]


def texts(messages):
    blocks = [b for m in messages if m["type"] == "assistant" for b in m["message"]["content"]]
    return [b["text"] for b in blocks if b["type"] == "text"]


async def test_every_turn_begins_with_init_and_ends_with_one_result(cli):
    rules = [{"do": [{"think": "hm"}, {"say": "a"}, {"say": "b"}]}]
    async with cli("--model", "m", rules=rules) as c:
        for _ in range(2):
            assert kinds(await c.turn("x")) == ["init", "assistant", "assistant", "assistant", "success"]


async def test_usage_is_of_the_turn_and_cost_of_the_process(cli):
    async with cli("--model", "m") as c:
        await c.turn("x")
        result = (await c.turn("x"))[-1]
        assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (5, 2)
        assert result["total_cost_usd"] == 0.5
        assert result["modelUsage"]["m"]["inputTokens"] == 10


async def test_initialize_is_answered_before_anything_else(cli):
    async with cli() as c:
        answer = await c.ask("initialize")
        assert answer["subtype"] == "success"
        assert answer["response"]["pid"] == c.process.pid


async def test_an_unknown_request_is_an_error(cli):
    async with cli() as c:
        assert (await c.ask("nonsense"))["error_code"] == "unsupported_request"


async def test_a_line_that_is_no_json_kills_it(cli):
    async with cli() as c:
        await c.process.write(b"this is no json\n")
        said = await c.last_words()
        assert "exited with code 1" in said
        assert "Error parsing streaming input line" in said


async def test_values_it_does_not_know_are_survived(cli):
    async with cli() as c:
        await c.process.write(b'[]\n\n{"type": "novelty"}\n17\n{"type": "user"}\n')
        assert (await c.turn("x"))[-1]["subtype"] == "success"


async def test_a_message_in_mid_turn_joins_it(cli, project):
    async with cli() as c:
        await c.user("slow", uuid="u1")
        await c.until(type="assistant")
        await c.user("and this", uuid="u2")
        await c.until(type="command_lifecycle", command_uuid="u2", state="queued")
        (project / "go").touch()
        messages = await c.until(type="result")
        assert texts(messages) == ["done", "you said and this"]
        assert messages[-1]["user_message_uuids"] == ["u1", "u2"]
        assert (await c.turn("next"))[-1]["result"] == "you said next"


async def test_an_interrupt_is_answered_then_ends_the_turn(cli):
    async with cli() as c:
        await c.user("hang")
        await c.until(type="assistant")
        assert (await c.ask("interrupt"))["response"] == {"still_queued": []}
        result = (await c.until(type="result"))[-1]
        assert (result["subtype"], result["terminal_reason"]) == ("error_during_execution", "aborted_streaming")
        assert (await c.turn("x"))[-1]["subtype"] == "success"


async def test_an_interrupt_when_idle_has_no_result(cli):
    async with cli() as c:
        assert (await c.ask("interrupt"))["subtype"] == "success"
        messages = await c.turn("x")
        assert [m["subtype"] for m in messages if m["type"] == "result"] == ["success"]


async def test_an_interrupt_takes_back_the_open_request_first(cli):
    async with cli(*STDIO) as c:
        await c.user("edit")
        asked = (await c.until(type="control_request"))[-1]
        await c.send(type="control_request", request_id="i", request={"subtype": "interrupt"})
        messages = await c.until(type="result")
        order = [m["type"] for m in messages]
        assert order.index("control_cancel_request") < order.index("control_response")
        assert messages[order.index("control_cancel_request")]["request_id"] == asked["request_id"]
        assert messages[-1]["terminal_reason"] == "aborted_tools"


@pytest.mark.parametrize(
    ("answer", "written", "said"),
    [
        ({"behavior": "allow", "updatedInput": {}}, True, "is written"),
        ({"behavior": "deny", "message": "not today"}, False, "not today"),
        ({"behavior": "allow"}, False, "malformed"),
    ],
)
async def test_a_tool_runs_when_it_was_allowed(cli, project, answer, written, said):
    async with cli(*STDIO) as c:
        await c.user("edit")
        [*before, asked] = await c.until(type="control_request")
        assert asked["request"]["tool_name"] == "Write"
        assert asked["request"]["tool_use_id"] == before[-1]["message"]["content"][0]["id"]
        response = {"subtype": "success", "request_id": asked["request_id"], "response": answer}
        await c.send(type="control_response", response=response)
        messages = await c.until(type="result")
        assert said in texts(messages)[-1]
        assert (project / "note.txt").exists() is written
        assert [d["tool_name"] for d in messages[-1]["permission_denials"]] == ["Write"] * ("today" in said)


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        (["--permission-mode", "acceptEdits"], True),
        (["--allowedTools", "Write"], True),
        ([*STDIO, "--permission-mode", "dontAsk"], False),
        ([], False),  # nobody can be asked
        ([*STDIO, "--disallowedTools", "Write"], False),
    ],
)
async def test_modes_and_lists_decide_without_asking(cli, project, flags, written):
    async with cli(*flags) as c:
        await c.turn("edit")
        assert (project / "note.txt").exists() is written


async def test_it_calls_its_mcp_server_with_the_header_of_the_file(cli, tmp_path):
    rules = [{"do": [{"call": "whoami"}, {"say": "{reply}"}]}]
    with serving() as plane:
        server = plane.server("anna", "s3cret")
        config = {"mcpServers": {"aegis": {"type": "http", "url": server.url, "headers": server.headers}}}
        (tmp_path / "mcp.json").write_text(json.dumps(config))
        async with cli("--mcp-config", str(tmp_path / "mcp.json"), "--allowedTools", "mcp__aegis", rules=rules) as c:
            messages = await c.turn("x")
    assert messages[-1]["result"] == "you are anna"
    uses = [b for m in messages if m["type"] == "assistant" for b in m["message"]["content"] if b["type"] == "tool_use"]
    assert [use["name"] for use in uses] == ["mcp__aegis__whoami"]
    assert [s for m in messages if m.get("subtype") == "init" for s in m["mcp_servers"]] == [
        {"name": "aegis", "status": "connected"}
    ]


async def test_a_server_that_refuses_is_failed_and_the_turn_goes_on(cli):
    with serving() as plane:
        url = plane.server("anna", "s3cret").url
    dead = json.dumps({"mcpServers": {"aegis": {"type": "http", "url": url}}})
    async with cli("--mcp-config", dead) as c:
        init = (await c.turn("x"))[0]
        assert init["mcp_servers"] == [{"name": "aegis", "status": "failed"}]


async def test_a_model_error_is_success_with_is_error(cli):
    async with cli(rules=[{"do": [{"fail": "529 overloaded"}]}]) as c:
        result = (await c.turn("x"))[-1]
        assert (result["subtype"], result["is_error"], result["terminal_reason"]) == ("success", True, "api_error")
        assert "529 overloaded" in result["result"]


async def test_a_closed_stdin_ends_an_idle_one(cli):
    async with cli() as c:
        await c.turn("x")
        await c.process._stdin.aclose()  # noqa: SLF001 - only the process itself closes it otherwise
        assert "exited with code 0" in await c.last_words()


async def test_a_closed_stdin_lets_the_turn_end_first(cli, project):
    async with cli() as c:
        await c.user("slow")
        await c.until(type="assistant")
        await c.process._stdin.aclose()  # noqa: SLF001
        (project / "go").touch()
        assert (await c.until(type="result"))[-1]["result"].endswith("done")
        assert "exited with code 0" in await c.last_words()


async def test_sigterm_is_143_and_takes_its_shells_along(cli):
    async with cli("--allowedTools", "Bash", rules=[{"do": [{"shell": "exec tail -f /dev/null"}]}]) as c:
        await c.user("x")
        await c.until(type="assistant")
        shell = await child_of(c.process.pid, "tail")
        psutil.Process(c.process.pid).send_signal(signal.SIGTERM)
        assert "exited with code 143" in await c.last_words()
        await gone(shell)


async def test_a_killed_one_orphans_its_shells(cli):
    """Why the kernel sweeps by the mark in the environment: no process group reaches them."""
    async with cli("--allowedTools", "Bash", rules=[{"do": [{"shell": "sleep 60", "background": True}]}]) as c:
        await c.turn("x")
        psutil.Process(c.process.pid).kill()
        await c.last_words()
        assert [line for line in marked({c.mark}) if "sleep 60" in line]
    assert marked({c.mark}) == []


async def test_a_resumed_one_keeps_id_and_memory_and_ignores_a_new_system_prompt(cli):
    rules = [{"do": [{"say": "{turn} {before} {primer}"}]}]
    async with cli("--append-system-prompt", "first", rules=rules) as c:
        session = (await c.turn("hello"))[-1]["session_id"]
    async with cli("--resume", session, "--append-system-prompt", "second", rules=rules) as c:
        result = (await c.turn("again"))[-1]
        assert (result["session_id"], result["result"]) == (session, "2 hello first")


@pytest.mark.parametrize("hello", [True, False])
async def test_an_unknown_session_fails(cli, hello):
    async with cli("--resume", "no-such") as c:
        if hello:
            await c.send(type="control_request", request_id="1", request={"subtype": "initialize"})
            said = (await c.until(type="result"))[-1]
        else:
            said = (await c.turn("x"))[-1]
        assert said["subtype"] == "error_during_execution"
        assert said["errors"] == ["No conversation found with session ID: no-such"]


async def test_a_session_id_is_used_once(cli):
    session = "00000000-0000-4000-8000-000000000001"
    async with cli("--session-id", session) as c:
        assert (await c.turn("x"))[-1]["session_id"] == session
    async with cli("--session-id", session) as c:
        assert "already in use" in await c.last_words()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([*STREAM, "--nonsense"], "unrecognized arguments: --nonsense"),
        (["-p", "--input-format", "stream-json", "--output-format", "stream-json"], "requires --verbose"),
        ([*STREAM, "--permission-mode", "bold"], "invalid choice: 'bold'"),
        ([*STREAM, "--mcp-config", "no-such-file"], "Invalid MCP configuration"),
    ],
)
def test_a_wrong_command_line_is_exit_code_1(environment, flags, said):
    command = [sys.executable, "-m", "aegis_claude.testing", *flags]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert said in answer.stderr


def test_it_says_its_version(environment):
    command = [sys.executable, "-m", "aegis_claude.testing", "--version"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.startswith(
        "2.1."
    )
