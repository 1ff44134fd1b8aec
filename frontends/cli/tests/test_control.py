"""The control socket and the two clients of it."""

import json
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import msgspec
import pytest
import trio

from aegis import AegisError, Caller, ConfigError, NotFound, Refused, hookimpl, open_kernel, report, verb
from aegis.events import Notice, Text
from aegis.project import Project
from aegis_cli import plugin as cli
from aegis_cli.blocking_client import BlockingClient, NotRunning
from aegis_cli.shell import run
from aegis_cli.socket_client import connected
from aegis_cli.socket_path import socket_of


class Said(msgspec.Struct, frozen=True):
    """A value that has a sentence."""

    who: str

    def __str__(self):
        return f"{self.who} said something"


class Verbs:
    name = "fixture"

    def __init__(self):
        self.began, self.cancelled, self.go_on, self.reported = (trio.Event() for _ in range(4))

    async def run(self):
        """Give what verbs begin a place to go on."""
        async with trio.open_nursery() as self.nursery:
            await trio.sleep_forever()

    @verb("begin")
    async def begin(self, caller: Caller) -> str:
        """Begin what goes on after the answer."""

        async def later() -> None:
            await self.go_on.wait()
            report("nobody listens")
            self.reported.set()

        self.nursery.start_soon(later)
        return "it goes on"

    @verb("greet")
    async def greet(self, caller: Caller, who: str) -> Said:
        """Greet somebody."""
        report("drawing breath")
        report("speaking")
        return Said(f"{caller} to {who}")

    @verb("fail")
    async def fail(self, caller: Caller, how: str) -> str:
        """Fail in some way."""
        raise {"refused": Refused, "bug": ValueError, "missing": NotFound}[how](f"it is {how}")

    @verb("hang")
    async def hang(self, caller: Caller) -> str:
        """Never answer."""
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled.set()

    @hookimpl
    def aegis_primitives(self, kernel):
        return [self]


@pytest.fixture
def verbs():
    return Verbs()


@pytest.fixture
def plugins(verbs):
    return {"cli": cli, "fixture": verbs}


async def in_thread(function):
    """Return what a blocking caller gets, without blocking the kernel in this process."""
    return await trio.to_thread.run_sync(function, abandon_on_cancel=True)


def performed(project, verb, **args):
    heard = []
    with BlockingClient(Project(project)) as client:
        return *client.perform(verb, args, heard.append), heard


async def test_a_call_gives_value_sentence_and_progress(kernel, project):
    value, text, heard = await in_thread(partial(performed, project, "greet", who="bob"))
    me = value["who"].removesuffix(" to bob")
    assert me.startswith("human:")
    assert text == f"{me} to bob said something"
    assert heard == ["drawing breath", "speaking"]


async def test_what_a_verb_began_may_report_after_its_caller_has_left(kernel, project, verbs):
    assert (await in_thread(partial(performed, project, "begin")))[0] == "it goes on"
    await trio.testing.wait_all_tasks_blocked(0.01)  # the connection of before is gone
    verbs.go_on.set()
    await verbs.reported.wait()
    assert not [*kernel.faults]


async def test_a_wrong_file_is_said_beside_every_answer_and_scripts_do_not_see_it(kernel, project, capsys):
    (project / ".aegis.yaml").write_text("agents: [x]\n")
    with pytest.raises(ConfigError):
        await kernel.config.refresh()
    assert await in_thread(partial(run, ["-C", str(project), "greet", "bob"])) == 0
    said = capsys.readouterr()
    assert said.out.endswith("to bob said something\n") and "agents" not in said.out
    assert ".aegis.yaml:1: agents:" in said.err
    assert said.err.endswith("; the configuration of before stays in force\n")
    (project / ".aegis.yaml").write_text("agents: {}\n")
    await kernel.config.refresh()
    assert await in_thread(partial(run, ["-C", str(project), "greet", "bob"])) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("how", "kind", "code"), [("refused", Refused, 3), ("missing", NotFound, 4), ("bug", AegisError, 1)]
)
async def test_an_error_comes_as_itself(how, kind, code, kernel, project):
    with pytest.raises(kind, match=f"it is {how}") as caught:
        await in_thread(partial(performed, project, "fail", how=how))
    assert type(caught.value) is kind
    assert caught.value.exit_code == code


async def test_hanging_up_cancels_the_call(kernel, project, verbs):
    async with connected(str(socket_of(kernel.project))) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call, "hang")
        await verbs.began.wait()
        nursery.cancel_scope.cancel()
    with trio.fail_after(5):
        await verbs.cancelled.wait()


async def test_a_watcher_sees_what_happens_and_one_that_hung_up_disturbs_nobody(kernel, project):
    path = str(socket_of(kernel.project))
    async with connected(path) as client:
        async with connected(path) as other, other.watch():
            pass
        async with client.watch() as news:
            kernel.bus.publish("1", Text("a"), Notice("b"))
            seen = []
            while len(seen) < 2:
                seen += [event for batch in await anext(news) for event in batch.events]
            assert seen == [Text("a"), Notice("b")]
    for _ in range(3):
        kernel.bus.publish("1", Text("to nobody"))
        await trio.testing.wait_all_tasks_blocked()
    assert [f for f in kernel.faults if f.source == "cli"] == []
    async with connected(path) as client:
        assert (await client.hello())["pid"] == os.getpid()


async def test_a_client_learns_that_the_kernel_ended(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        client = await kernel.supervisor._nursery.start(_attached, str(socket_of(kernel.project)))  # noqa: SLF001
    assert client.ended.is_set()


async def _attached(path, task_status):
    async with connected(path) as client:
        task_status.started(client)
        await trio.sleep_forever()


async def test_only_this_user_may_open_it(kernel):
    assert socket_of(kernel.project).stat().st_mode & 0o777 == 0o600
    assert kernel.project.state.stat().st_mode & 0o777 == 0o700


async def test_bytes_that_are_no_utf8_are_refused_at_once(project, capsys):
    caught = "caf\udce9"  # how an argument's byte 0xe9 reaches Python
    for words in (["greet", caught], ["-C", caught, "greet", "x"], ["no-such-verb", "--x", caught], [caught]):
        assert run(words) == 2
        assert "is not UTF-8: byte 0xe9 at 3; aegis takes UTF-8" in capsys.readouterr().err
    assert run(["--json", "greet", caught]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


async def test_a_client_refuses_what_no_json_can_carry(kernel):
    def ask():
        with BlockingClient(kernel.project) as client:
            with pytest.raises(ConfigError, match=r"half a surrogate pair, U\+D800"):
                client.perform("greet", {"who": "\ud800"})
            return client.perform("greet", {"who": "ü"})[1]

    assert (await in_thread(ask)).endswith("ü said something")
    async with connected(str(socket_of(kernel.project))) as client:
        with pytest.raises(AegisError, match="byte 0xe9 at 3"):
            await client.perform("greet", {"who": "caf\udce9"})
        assert await client.complete("verb")


async def test_what_is_no_request_ends_nothing_but_itself(kernel, project):
    def nonsense():
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(socket_of(kernel.project)))
            line.sendall(b'\xff\n[]\n{"jsonrpc":"2.0","id":1,"method":"nope"}\n{"id":2,"method":"call","params":[]}\n')
            answers = b""
            while answers.count(b"\n") < 4:
                answers += line.recv(4096)
            return [json.loads(a) for a in answers.splitlines()]

    answers = {a["id"] or a["error"]["code"]: a["error"]["message"] for a in await in_thread(nonsense)}
    assert answers[-32700] == "not UTF-8: byte 0xff at 0" and "an object" in answers[-32600]
    assert answers[1] == "there is no method 'nope'"
    assert "there is no verb" in answers[2]


async def test_a_project_far_down_has_its_socket_in_a_private_folder_elsewhere(plugins, environment, tmp_path):
    deep = tmp_path.joinpath(*["far-down"] * 12)
    deep.mkdir(parents=True)
    async with open_kernel(deep, plugins=plugins, environment=environment) as kernel:
        path = socket_of(kernel.project)
        assert len(str(path)) < 108
        assert path.parent.stat().st_mode & 0o777 == 0o700
        async with connected(str(path)) as client:
            assert (await client.hello())["root"] == str(deep)
    assert not path.exists()


async def test_quit_is_asked_for_over_the_socket(kernel):
    async with connected(str(socket_of(kernel.project))) as client:
        await client.quit()
    with trio.fail_after(5):
        await kernel.quit.wait()


def test_nobody_there(project):
    with pytest.raises(NotRunning, match="start one with `aegis`"), BlockingClient(Project(project)):
        pass


@contextmanager
def listening(project):
    folder = Project(project)
    folder.prepare()
    with folder.locked(), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_of(folder)))
        listener.listen()
        yield listener, folder


def test_a_kernel_that_does_not_answer_is_said_to(project):
    with (
        listening(project) as (_, folder),
        BlockingClient(folder, limit=0.05) as client,
        pytest.raises(AegisError, match="did not answer within"),
    ):
        client.ask("hello")


def test_a_kernel_that_ends_in_the_middle_is_said_to(project):
    with listening(project) as (listener, folder), BlockingClient(folder) as client:
        listener.accept()[0].close()
        with pytest.raises(AegisError, match="ended, or sent this user away"):
            client.perform("greet", {"who": "x"})


# -- limits -----------------------------------------------------------------------------------------------------------


LIMITED = "plugins: {cli: {max_connections: 8, max_silent: 2, max_request: 65536}}\n"


@contextmanager
def talking(project):
    """Open a connection that says and hears whole lines."""
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as heard:
        client.settimeout(30)
        client.connect(str(socket_of(project)))

        def ask(line: bytes) -> dict:
            client.sendall(line)
            answer = heard.readline()
            return json.loads(answer) if answer else {}

        yield ask


def hello(number: int = 1) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":"hello"}\n' % number


async def test_silent_connections_keep_nobody_out(project):
    (project / ".aegis.yaml").write_text(LIMITED)

    def flood(place: Project) -> None:
        silent = [socket.socket(socket.AF_UNIX) for _ in range(60)]
        for each in silent:
            each.connect(str(socket_of(place)))
        with talking(place) as ask:
            assert ask(hello())["result"]["protocol"]
        for each in silent:
            each.close()

    async with open_kernel(project, plugins={"cli": cli}, environment={}) as kernel:
        await trio.to_thread.run_sync(flood, kernel.project)


async def test_one_connection_more_than_the_limit_is_told_so(project):
    (project / ".aegis.yaml").write_text(LIMITED)

    def crowd(place: Project) -> None:
        with ExitStack() as stack:
            for _ in range(8):
                assert "result" in stack.enter_context(talking(place))(hello())
            error = stack.enter_context(talking(place))(hello())["error"]
            assert "8 shells and scripts are connected already" in error["message"]
            assert "plugins.cli.max_connections" in error["message"]
        for _ in range(1_000):  # until the kernel has heard that the others have gone
            with talking(place) as ask:
                if "result" in ask(hello()):
                    return
        raise AssertionError("nobody's place is given back")

    async with open_kernel(project, plugins={"cli": cli}, environment={}) as kernel:
        await trio.to_thread.run_sync(crowd, kernel.project)


async def test_a_request_that_is_too_long_is_told_so(project):
    (project / ".aegis.yaml").write_text(LIMITED)

    def much(place: Project) -> None:
        with talking(place) as ask:
            assert "result" in ask(hello())
            answer = ask(b'{"jsonrpc":"2.0","id":2,"method":"' + b"x" * 70_000)
            assert "a request has at most 65,536 bytes (plugins.cli.max_request)" in answer["error"]["message"]
            with suppress(ConnectionError):  # the rest was not read
                assert ask(b"") == {}, "and that was all"
        client = BlockingClient(place)
        with client, pytest.raises(AegisError, match="at most 65,536 bytes"):
            client.perform("x" * 10_000_000, {})

    async with open_kernel(project, plugins={"cli": cli}, environment={}) as kernel:
        await trio.to_thread.run_sync(much, kernel.project)
