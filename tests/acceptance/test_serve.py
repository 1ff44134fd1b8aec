"""One kernel a project: who may reach it, how it ends, what happens when something is broken."""

import os
import pty
import shutil
import signal
import sqlite3
import tempfile
from functools import partial
from pathlib import Path

import pytest

from aegis.errors import AegisError
from aegis.project import Project
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.socket_path import socket_of

NOBODY = 65534
WORKING = {
    "thinking": "wait 60",
    "asking for leave": "ask for a day off",
}
DEAF = """\
agents:
  deaf:
    provider: scripted
    script: [{do: [{never_end: true}]}]
  mute:
    provider: scripted
    script: [{do: [{say: "bye"}, {close_stdout: true}]}]
"""


def report(record_property, state, took):
    """Put on record how long it took; a slow machine is no failure."""
    record_property("seconds", round(took, 2))
    print(f"{state}: ended after {took:.2f} s")


def test_a_second_kernel_is_refused_and_names_the_first(running):
    with running.start("serve") as second:
        assert second.wait(30) == 1
        said = second.stderr.read()
    assert f"aegis already runs in {running.root} (pid " in said
    assert running.json("sessions") == []


def test_stop_ends_it_and_waits(aegis):
    with aegis.serving() as server:
        assert aegis.says("stop") == f"the aegis in {aegis.root} (pid {server.pid}) has ended"
        assert server.wait(5) == 0
    said = aegis.refuses("stop", code=1)
    assert said == f"no aegis runs in {aegis.root}; start one with `aegis` (a REPL) or `aegis serve` (without a screen)"
    with aegis.serving():
        assert aegis.json("sessions") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_signals_end_it(aegis, number, record_property):
    with aegis.serving() as server:
        report(record_property, number.name, aegis.end(server, number))
        assert server.returncode == 0
    assert not socket_of(Project(aegis.root)).exists()


@pytest.mark.parametrize("after", ["import", "kernel.lock", "ledger.db", "control.sock"])
def test_it_ends_while_it_starts(aegis, after, record_property):
    """A signal in the middle of starting ends it just as well, and leaves nothing in the way of the next."""
    server = aegis.start("serve")
    if after == "import":
        aegis.eventually(lambda: importing(server.pid), "the kernel's imports")
    else:
        project = Project(aegis.root)
        there = partial(listens, project) if after == "control.sock" else (project.state / after).exists
        aegis.eventually(there, after)
    report(record_property, f"starting, {after}", aegis.end(server))
    assert server.returncode == 0
    with aegis.serving():
        assert aegis.json("sessions") == []


def listens(project):
    """Return whether the project's control socket is there: where it is, is known once there is a kernel."""
    try:
        return socket_of(project).exists()
    except FileNotFoundError:
        return False


def importing(pid):
    """Return whether the process has begun to import what a kernel needs."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not show what a process has loaded")
    try:
        return "pydantic_core" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        pytest.fail("it ended before it had begun")


@pytest.mark.parametrize("state", [*WORKING, "idle", "deaf", "mute", "waited for", "watched"])
def test_it_ends_whatever_its_agents_do(aegis, state, record_property):
    (aegis.root / ".aegis.yaml").write_text(DEAF)
    profile = state if state in ("deaf", "mute") else "scripted"
    callers = []
    with aegis.serving() as server:
        aegis.run("spawn", profile, "--handle", "ada")
        if state == "waited for":
            callers.append(aegis.start("send", "ada", "wait 60", "--wait"))
        elif state != "idle":
            aegis.run("send", "ada", WORKING.get(state, "hello"))
        if state == "watched":
            callers.append(aegis.start("events", "--follow"))
            callers[-1].stderr.readline()
        elif state != "idle":
            aegis.eventually(lambda: aegis.json("sessions")[0]["state"] == "working", "a turn")
        report(record_property, state, aegis.end(server))
        assert server.returncode == 0
    for caller in callers:
        assert caller.wait(10) == (0 if state == "watched" else 1)
        aegis.end(caller)
    assert aegis.left() == []


def test_agents_come_back(aegis):
    with aegis.serving():
        aegis.run("spawn", "scripted", "--handle", "ada")
        aegis.run("send", "ada", "remember the milk", "--wait")
    with aegis.serving():
        assert aegis.says("send", "ada", "hello", "--wait").startswith("Hello. I am ada")
    with aegis.serving("--clean"):
        assert aegis.json("sessions") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(aegis):
    """Twice: by the modes of folder and socket, and, were those opened wide, by who is at the other end."""
    aegis.root = Path(tempfile.mkdtemp())  # where others can reach it, unlike pytest's folders
    try:
        aegis.root.chmod(0o755)
        with aegis.serving():
            project = Project(aegis.root)
            assert "belongs to another user" in as_nobody(project)
            project.state.chmod(0o755)
            socket_of(project).chmod(0o666)
            assert "sent this user away" in as_nobody(project)
            assert aegis.json("sessions") == []
    finally:
        shutil.rmtree(aegis.root)


def as_nobody(project):
    """Return what another user of this machine is told."""
    read, write = os.pipe()
    if not (child := os.fork()):
        said = "it answered"
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with BlockingClient(project) as client:
                client.ask("snapshot")
        except AegisError as error:
            said = str(error)
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


def test_a_broken_plugin_is_named_and_everything_else_works(aegis, tmp_path):
    dist = tmp_path / "site" / "acme_broken-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[aegis.plugins]\nbroken = acme_broken\n")
    (tmp_path / "site" / "acme_broken.py").write_text("raise RuntimeError('the glue has dried')\n")
    aegis.environment["PYTHONPATH"] = str(tmp_path / "site")
    error = "RuntimeError: the glue has dried"
    rows = {row["name"]: row for row in aegis.json("plugin", "list")}
    assert (rows["broken"]["state"], rows["broken"]["error"]) == ("failed", error)
    assert rows["broken"]["distribution"] == "acme-broken"
    assert f"✗ the plugin 'broken' is broken: {error}" in aegis.run("doctor", code=1).stdout
    with aegis.start("serve") as server:
        aegis.wait_for_line(server, "aegis runs in")
        aegis.run("spawn", "scripted", "--handle", "ada")
        assert aegis.says("send", "ada", "hello", "--wait").startswith("Hello. I am ada")
        assert "broken" in aegis.run("doctor", code=1).stdout
        server.send_signal(signal.SIGTERM)
        assert f"aegis: the plugin 'broken' is broken and left out: {error}\n" in server.stderr.read()
    (aegis.root / ".aegis.yaml").write_text("plugins: {disabled: [broken]}\n")
    rows = {row["name"]: row for row in aegis.json("doctor")["plugins"]}
    assert (rows["broken"]["state"], rows["broken"]["error"]) == ("disabled", "")


WRONG = {
    "unknown key": ("agents:\n  a:\n    provider: scripted\n    modle: x\n", ":4: agents.a.modle: ", "'model'"),
    "wrong type": ("agents:\n  a:\n    provider: scripted\n    turn_limit: soon\n", ":4: agents.a.turn_limit: ", ""),
    "wrong value": ("agents:\n  a: {provider: scripted, permission: all}\n", ":2: agents.a.permission: ", "'full'"),
    "no provider": ("agents:\n  a: {}\n", ":2: agents.a.provider: ", "missing"),
    "duplicate key": ("agents: {}\nagents: {}\n", ":2: ", "duplicate key"),
    "no mapping": ("- a\n- b\n", ": ", "must be a mapping"),
    "no YAML": ("agents: [\n", ":2: ", "expected"),
    "plugin's key": ("plugins:\n  approvals: {timout: 3}\n", ":2: plugins.approvals.timout: ", "'timeout'"),
    "anchors bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
        ": ", "larger than",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_a_sentence_and_nothing_is_started(aegis, case):
    text, where, nearest = WRONG[case]
    file = aegis.root / ".aegis.yaml"
    file.write_text(text)
    said = aegis.refuses("serve", code=2)
    assert said.startswith(f"{file}{where}")
    assert nearest in said
    assert not (aegis.root / ".aegis").exists()
    assert said in aegis.run("doctor", code=1).stdout


UNKNOWN = {
    "section": ("agents: {}\nquues: {}\n", ":2: quues: ", "quues"),
    "provider": ("agents:\n  a:\n    provider: scriptd\n", ":3: agents.a.provider: ", "'scripted'"),
    "default": ("default_agent: nobody\n", ":1: default_agent: ", "nobody"),
    "plugin": ("plugins: {approvls: {}}\n", ":1: plugins.approvls: ", "'approvals'"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_nothing_here_knows_is_a_word_and_the_rest_starts(aegis, case):
    text, where, nearest = UNKNOWN[case]
    file = aegis.root / ".aegis.yaml"
    file.write_text(text)
    with aegis.serving() as server:
        aegis.run("spawn", "scripted", "--handle", "ada")
        server.send_signal(signal.SIGTERM)
        said = next(line for line in server.stderr.read().splitlines() if f"{file}{where}" in line)
    assert nearest in said and said.endswith("It has no effect.")
    assert said.removeprefix("aegis: ") in aegis.run("doctor", code=1).stdout


def test_a_configuration_that_is_a_folder(aegis):
    (aegis.root / ".aegis.yaml").mkdir()
    assert "is a directory" in aegis.refuses("serve", code=2)
    assert not (aegis.root / ".aegis").exists()


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"], ids=["absent", "empty", "comments"])
def test_without_a_configuration_every_provider_is_a_profile(aegis, text):
    if text is not None:
        (aegis.root / ".aegis.yaml").write_text(text)
    with aegis.serving():
        assert "scripted" in aegis.json("agents")


def test_a_ledger_that_is_damaged_is_said_to_be(aegis):
    with aegis.serving():
        pass
    ledger = Project(aegis.root).state / "ledger.db"
    for extra in ("-wal", "-shm"):
        ledger.with_name(ledger.name + extra).unlink(missing_ok=True)
    ledger.write_bytes(b"no database " * 1000)
    assert f"cannot open the ledger {ledger}" in aegis.refuses("serve", code=1)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(ledger).execute("select 1 from records")


def test_a_console_needs_a_terminal(aegis):
    assert aegis.refuses(code=2).startswith("a console needs a terminal; `aegis serve` runs without one")


class Screen:
    """A console at a terminal of its own."""

    def __init__(self, aegis, *words):
        self.terminal, theirs = pty.openpty()
        self.process = aegis.start(*words, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.set_blocking(self.terminal, False)
        self.shown = b""

    def draw(self):
        """Take what was drawn, so that whoever draws never waits, and return all of it."""
        try:
            while more := os.read(self.terminal, 65_536):
                self.shown += more
        except OSError:
            pass  # nothing more yet, or nobody draws any more
        return self.shown

    def ended(self):
        """Return whether the console has ended; what it draws meanwhile is taken."""
        self.draw()
        return self.process.poll() is not None


@pytest.fixture
def screen(aegis):
    """Open consoles in the project; they are closed with the test."""
    made = []

    def opened(*words):
        made.append(Screen(aegis, *words))
        return made[-1]

    yield opened
    for one in made:
        aegis.end(one.process)
        os.close(one.terminal)


def test_without_arguments_it_is_the_kernel_and_a_console(aegis, screen):
    console = screen("--agent", "scripted")
    aegis.eventually(lambda: listens(Project(aegis.root)) and console.draw(), "a kernel behind a console")
    aegis.eventually(lambda: len(aegis.json("sessions")) == 1, "the agent that was asked for")
    aegis.run("stop")
    aegis.eventually(console.ended, "the console's end")
    assert console.process.returncode == 0


def test_a_console_attaches_to_the_kernel_that_runs(aegis, screen):
    with aegis.serving() as server:
        console = screen()
        aegis.eventually(lambda: b"\x1b[" in console.draw(), "something on the screen")
        assert server.poll() is None
        aegis.run("stop")
        aegis.eventually(console.ended, "the console's end")
    assert f"the aegis in {aegis.root} has ended".encode() in console.draw().replace(b"\r\n", b"")


def test_of_several_that_start_at_once_one_is_the_kernel(aegis, screen):
    consoles = [screen() for _ in range(3)]
    for console in consoles:
        aegis.eventually(lambda console=console: b"\x1b[" in console.draw(), "every console")
    assert aegis.json("sessions") == []
    aegis.run("stop")
    for console in consoles:
        aegis.eventually(console.ended, "the consoles' end")


def test_a_project_deep_in_the_folders_is_reached(aegis):
    aegis.root = aegis.root / ("d" * 60) / ("e" * 60)
    aegis.root.mkdir(parents=True)
    with aegis.serving():
        assert aegis.json("sessions") == []
