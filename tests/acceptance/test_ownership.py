"""Other accounts and hostile projects: nothing of theirs is run, followed or written to, and a sentence says why."""

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from aegis import Refused
from aegis_cli.shell import run
from aegis_cli.socket_client import connected

STRANGER = 65534
IMPORTED = (
    "aegis", "aegis_cli", "aegis_terminal", "aegis_scripted", "aegis_workflow", "json", "trio", "tomllib", "termios",
    "selectors", "argparse", "typing", "sitecustomize", "usercustomize", "fastmcp", "pydantic",
)  # fmt: skip
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be a second user too")
# A kernel that answers every question with a real list of verbs, and with a command to be run.
FAKE_KERNEL = """
import json, os, socket, sys, threading
os.setuid(int(sys.argv[4]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
VERB = {"name": sys.argv[3], "plugin": "terminal", "help": "", "positional": ["name"], "for": [], "doc": "", "tool": "",
        "schema": {"properties": {"name": {"type": "string"}}, "required": []}, "completes": {}}
def serve(line):
    with line, line.makefile("rwb") as file:
        for asked in file:
            print("asked", flush=True)
            method, number = json.loads(asked)["method"], json.loads(asked)["id"]
            answer = [VERB] if method == "verbs" else {
                "value": None, "text": "done", "warning": "", "exit_code": 0, "pid": 1,
                "command": ["/bin/sh", "-c", "touch " + sys.argv[2]]}
            file.write(json.dumps({"jsonrpc": "2.0", "id": number, "result": answer}).encode() + b"\\n")
            file.flush()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def given(path: Path) -> None:
    """Make the stranger the owner of the path and of everything below it."""
    for each in (path, *path.rglob("*")):
        os.chown(each, STRANGER, STRANGER, follow_symlinks=False)


@pytest.fixture
def shared(aegis) -> Iterator[Path]:
    """A folder in which everybody may make something, as in /tmp, at a short path that everybody reaches."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def fake_kernel(state: Path, proof: Path, verb: str, uid: int) -> Iterator[subprocess.Popen[str]]:
    """Have a fake kernel listen in a state folder as this user."""
    path = state / "control.sock"
    fake = subprocess.Popen(
        [sys.executable, "-I", "-c", FAKE_KERNEL, str(path), str(proof), verb, str(uid)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert fake.stdout.readline() == "listening\n"
        path.chmod(0o777)
        yield fake
    finally:
        fake.kill()
        fake.wait()
        fake.stdout.close()


def at_a_terminal(aegis, *words: str, cwd: Path, patience: float = 30) -> tuple[int, str]:
    """Return the exit code of a command typed at a terminal, and all it said."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [aegis.command, *words], cwd=cwd, env=aegis.environment, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    said = b""
    with suppress(OSError):  # the terminal's other side is closed
        while chunk := os.read(master, 65_536):
            said += chunk
    os.close(master)
    return process.wait(patience), said.decode()


# -- a fake kernel -------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("words", [["sessions"], ["send", "boss", "my secret"], ["stop"], ["term", "attach", "x"]])
def test_a_fake_kernel_in_a_shared_folder_above_is_not_spoken_to(aegis, shared: Path, words: list[str]):
    state, own = shared / ".aegis" / "state", shared / "own"
    state.mkdir(parents=True)
    (shared / ".aegis.yaml").touch()
    own.mkdir()
    given(shared / ".aegis")
    with fake_kernel(state, shared / "proof", " ".join(words[:2])[:11].strip(), STRANGER) as fake:
        for folder in (own, shared):
            code, said = at_a_terminal(aegis, *words, cwd=folder)
            assert code != 0 and not (shared / "proof").exists()
            assert "no aegis runs in" in said if folder == own else "other accounts may write to" in said, said
        fake.kill()
        assert fake.stdout.read() == "", "nothing was said to it"


@as_root
def test_a_stranger_who_listens_in_a_folder_of_mine_is_not_spoken_to(aegis, shared: Path):
    project = shared / "project"
    (project / ".aegis" / "state").mkdir(parents=True)
    with fake_kernel(project / ".aegis" / "state", shared / "proof", "sessions", os.geteuid()):
        assert at_a_terminal(aegis, "sessions", cwd=project)[0] == 0  # it is mine: spoken to
    (project / ".aegis" / "state" / "control.sock").unlink()
    (project / ".aegis" / "state").chmod(0o777)  # as a stranger got in somehow
    for each in (project, project / ".aegis"):
        each.chmod(0o755)
    path = project / ".aegis" / "state"
    with fake_kernel(path, shared / "proof", "sessions", STRANGER) as fake:
        code, said = at_a_terminal(aegis, "sessions", cwd=project)
        assert code == 3 and "belongs to another user" in said and "nothing was said to it" in said
        fake.kill()
        assert fake.stdout.read() == ""


@as_root
def test_no_client_of_ours_speaks_to_a_stranger(aegis, shared: Path):
    """Neither the REPL's nor that of `term attach`."""

    async def connect() -> None:
        async with connected(str(shared / "control.sock")):
            pass

    with fake_kernel(shared, shared / "proof", "sessions", STRANGER) as fake:
        with pytest.raises(Refused, match="belongs to another user"):
            trio.run(connect)
        aegis.command = sys.executable
        code, said = at_a_terminal(
            aegis, "-Pm", "aegis_terminal.attach", "--socket", str(shared / "control.sock"), "x", cwd=aegis.root
        )
        assert code == 1 and "belongs to another user" in said
        fake.kill()
        assert fake.stdout.read() == ""


def test_an_answer_does_not_say_what_is_run(aegis, tmp_path: Path, shared: Path):
    """Even one of this user's own: only `term attach` becomes another program, which no answer names."""
    aegis.root = shared / "project"
    (aegis.root / ".aegis" / "state").mkdir(parents=True)
    for verb in ("sessions", "term attach"):
        (aegis.root / ".aegis" / "state" / "control.sock").unlink(missing_ok=True)
        with fake_kernel(aegis.root / ".aegis" / "state", tmp_path / "proof", verb, os.geteuid()):
            code, said = at_a_terminal(aegis, *verb.split(), *(["x"] if "attach" in verb else []), cwd=aegis.root)
        assert not (tmp_path / "proof").exists()
        assert (code, "done" in said) == (0, True) if verb == "sessions" else "aegis-term: cannot connect" in said, said


# -- whose project it is -------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("what", ["project", ".aegis.yaml", ".aegis", ".aegis/state", ".aegis/agents/eve.yaml"])
def test_a_project_with_something_of_another_user_is_refused(aegis, what: str):
    (aegis.root / ".aegis" / "agents").mkdir(parents=True)
    (aegis.root / ".aegis" / "state").mkdir(mode=0o700)
    (aegis.root / ".aegis.yaml").write_text("agents: {}")
    (aegis.root / ".aegis" / "agents" / "eve.yaml").write_text("provider: scripted")
    os.chown(aegis.root / ("." if what == "project" else what), STRANGER, STRANGER)
    done = aegis.run("serve", code=2 if what.endswith("yaml") else 3)
    assert "belongs to another user" in done.stderr and done.stderr.count("\n") == 1


@as_root
def test_a_stranger_is_told_whose_project_it_is(aegis, shared: Path):
    aegis.root = shared / "project"
    (aegis.root / "inner").mkdir(parents=True)
    with aegis.serving():
        (aegis.root / ".aegis.yaml").unlink(missing_ok=True)
        for folder in (aegis.root, aegis.root / "inner"):
            code, said = as_stranger(folder, "sessions")
            assert code == 1 and "belongs to another user, and serves only that user" in said


def as_stranger(folder: Path, *words: str) -> tuple[int, str]:
    """Return the exit code of a command of another user in a folder, and what it said."""
    with tempfile.TemporaryFile() as said:
        if not (child := os.fork()):
            sys.stdout = sys.stderr = open(said.fileno(), "w", closefd=False)  # noqa: SIM115 - as long as it lives
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.chdir(folder)
            code = run(words)
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return code, said.read().decode()


def test_a_project_that_others_may_write_to_is_refused(aegis):
    aegis.root.chmod(0o777)
    assert "chmod go-w" in aegis.refuses("serve", code=3)
    assert "other accounts may write to" in aegis.refuses("sessions", code=3)
    assert aegis.says("--help")  # looking works
    assert "other accounts may write to" in aegis.run("doctor", code=1).stdout
    aegis.root.chmod(0o755)
    aegis.root.parent.chmod(0o777)  # they could put another folder in its place
    assert "put another folder in the place of" in aegis.refuses("serve", code=3)
    aegis.root.parent.chmod(0o1777)
    with aegis.serving():
        assert aegis.json("sessions") == []


def test_settings_that_others_may_write_to_are_refused(aegis):
    (aegis.root / ".aegis.yaml").write_text("agents: {}")
    (aegis.root / ".aegis.yaml").chmod(0o666)
    assert "other accounts may write to" in aegis.refuses("serve", code=2)


@pytest.mark.parametrize("where", [".aegis.yaml", ".aegis/agents/eve.yaml"])
def test_settings_behind_a_link_that_leads_nowhere_are_an_error(aegis, where: str):
    (aegis.root / ".aegis" / "agents").mkdir(parents=True)
    (aegis.root / where).symlink_to("nowhere.yaml")
    assert "is a link to nowhere.yaml, which does not exist" in aegis.refuses("serve", code=2)
    if where == ".aegis.yaml":  # the project is found by it, and not passed over
        (aegis.root / "inner").mkdir()
        assert "is a link to nowhere.yaml" in aegis.refuses("-C", "inner", "serve", code=2)


# -- what a cloned repository brings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [".gitignore", "kernel.lock", "numbers", "plane.json", "ledger.db", "ledger.db-wal", "repl.json", "control.sock",
     "books", "sessions", "seats", "terminals", "queues"],
)  # fmt: skip
def test_links_in_a_state_that_was_cloned_are_not_written_through(aegis, tmp_path: Path, link: str):
    precious = tmp_path / "precious"
    if link in ("books", "sessions", "seats", "terminals", "queues"):
        precious.mkdir(mode=0o755)
    else:
        precious.write_text("precious")
    (aegis.root / ".aegis" / "state").mkdir(parents=True)
    (aegis.root / ".aegis" / "state" / link).symlink_to(precious)
    before = precious.lstat()
    server = aegis.start("serve")
    with suppress(AssertionError):
        aegis.wait_for_line(server, "aegis runs in")
        aegis.run("spawn", "scripted", "--handle", "ada")
        aegis.run("send", "ada", "hello", "--wait")
    aegis.end(server)
    after = precious.lstat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, before.st_size)
    assert (precious.is_dir() and not list(precious.iterdir())) or precious.read_text() == "precious"


@pytest.mark.parametrize("link", [".aegis", ".aegis/state", ".aegis/.edit.lock"])
def test_a_folder_of_ours_that_is_a_link_is_refused(aegis, tmp_path: Path, link: str):
    precious = tmp_path / "precious"
    (aegis.root / link).parent.mkdir(exist_ok=True)
    if link.endswith("lock"):
        precious.write_text("precious")
    else:
        precious.mkdir(mode=0o755)
    (aegis.root / link).symlink_to(precious)
    if link.endswith("lock"):
        with aegis.serving():
            done = subprocess.run(
                [aegis.command, "config", "add", "agents.eve.provider", "scripted"], cwd=aegis.root,
                env=aegis.environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode != 0
        assert precious.read_text() == "precious"
        return
    assert "is a link to" in aegis.refuses("serve", code=3)
    assert mode(precious) == 0o755 and list(precious.iterdir()) == []


# -- modes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_aegis_makes_is_closed_to_others_whatever_the_umask(aegis, umask: int):
    before = os.umask(umask)
    try:
        server = aegis.start("serve")
    finally:
        os.umask(before)
    try:
        aegis.wait_for_line(server, "aegis runs in")
        aegis.run("spawn", "scripted", "--handle", "ada")
        aegis.run("send", "ada", "hello", "--wait")
        aegis.run("term", "spawn", "build")
        made = aegis.json("term", "run", "build", "touch made; umask")
        state = aegis.root / ".aegis" / "state"
        assert (mode(aegis.root / ".aegis"), mode(state)) == (0o755, 0o700)  # the first has what people write, too
        ours = [p for p in state.rglob("*") if "seats" not in p.parts]
        assert len(ours) > 5
        for path in ours:
            assert mode(path) == (0o700 if path.is_dir() else 0o600), path
        runtime = Path((state / "kernel.lock").read_text().splitlines()[1])
        assert mode(runtime) == 0o700
        assert mode(aegis.root / "made") == 0o666 & ~umask, made  # the person's own programs are the person's
    finally:
        aegis.end(server)
    assert not runtime.exists()


# -- sockets and where they are ------------------------------------------------------------------------------------


@as_root
def test_a_folder_for_sockets_that_a_stranger_made_before_is_not_used(aegis, shared: Path):
    aegis.environment["TMPDIR"] = str(shared)
    for name in (f"aegis-{os.getuid()}", f"aegis-run-{os.getuid()}"):
        (shared / name).mkdir(mode=0o777)
        os.chown(shared / name, STRANGER, STRANGER)
    with aegis.serving():
        aegis.run("term", "spawn", "t")
        runtime = Path((aegis.root / ".aegis" / "state" / "kernel.lock").read_text().splitlines()[1])
        assert runtime.parent == shared and runtime.stat().st_uid == os.getuid() and mode(runtime) == 0o700
        assert aegis.json("term", "run", "t", "echo x")["stdout"] == "x\n"


@as_root
def test_a_folder_that_a_stranger_could_exchange_is_not_used_for_sockets(aegis, shared: Path):
    shared.chmod(0o777)  # no sticky bit
    aegis.environment |= {"TMPDIR": str(shared), "XDG_RUNTIME_DIR": str(shared)}
    with aegis.serving():
        aegis.run("term", "spawn", "t")
        assert list(shared.iterdir()) == []


@as_root
def test_a_folder_in_one_that_a_stranger_could_exchange_is_not_used_for_sockets(aegis, shared: Path):
    """Neither by itself nor through a link that the stranger could turn elsewhere."""
    shared.chmod(0o777)
    own = shared / "run"
    own.mkdir(mode=0o700)
    (shared / "link").symlink_to(own)
    for place in (own, shared / "link"):
        aegis.environment |= {"TMPDIR": str(place), "XDG_RUNTIME_DIR": str(place)}
        with aegis.serving():
            aegis.run("term", "spawn", "t")
            assert list(own.iterdir()) == []
            aegis.run("term", "close", "t")


def test_in_a_folder_that_is_gone_every_command_says_so(aegis):
    gone = aegis.root / "gone"
    for words in (["sessions"], ["serve"], ["trust"], ["doctor"], ["stop"]):
        gone.mkdir()
        line = ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", aegis.command, *words]
        done = subprocess.run(
            line, cwd=gone, env=aegis.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2 and "is not there any more" in done.stderr, (words, done.stderr)
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("deep", [False, True])
def test_kernel_and_shell_agree_whatever_the_variables_say(aegis, tmp_path: Path, deep: bool):
    """Also where every path is too long for a socket."""
    if deep:
        aegis.root = aegis.root / ("x" * 50) / ("y" * 50)
        aegis.root.mkdir(parents=True)
    long = tmp_path / ("t" * 70)
    long.mkdir()
    aegis.environment |= {"TMPDIR": str(long), "XDG_RUNTIME_DIR": str(long)}
    with aegis.serving():
        for other in ({}, {"TMPDIR": "/nonexistent"}, {"TMPDIR": "/", "XDG_RUNTIME_DIR": ""}):
            aegis.environment |= other
            assert aegis.json("sessions") == []
        aegis.run("term", "spawn", "t")
        assert aegis.json("term", "run", "t", "echo x")["stdout"] == "x\n"
        code, said = at_a_terminal(aegis, "term", "attach", "nonsuch", cwd=aegis.root)
        assert code != 0 and "no terminal 'nonsuch'" in said
    assert list(long.iterdir()) == []


def test_a_kernel_that_cannot_be_reached_ends_with_the_reason(aegis, shared: Path):
    aegis.root = shared / "project"
    (aegis.root / ".aegis" / "state" / "control.sock" / "x").mkdir(parents=True)
    server = aegis.start("serve")
    said, error = server.communicate(timeout=30)
    assert server.returncode == 1 and "aegis runs" not in said
    assert "no command could reach this aegis" in error and "control.sock" in error


def test_a_command_whose_plugin_is_not_in_use_is_answered_with_that(aegis):
    (aegis.root / ".aegis.yaml").write_text("plugins: {disabled: [terminal]}")
    with aegis.serving():
        said = aegis.refuses("term", "list", code=4)
    assert "its plugin 'terminal' is not in use here" in said


# -- what is imported ----------------------------------------------------------------------------------------------


def test_nothing_is_imported_from_the_folder_that_one_is_in(aegis, tmp_path: Path):
    """Modules with the names of everything that aegis starts lie in the project, and are never run."""
    proof = tmp_path / "proof"
    evil = f"open({str(proof)!r}, 'a').write(__name__ + chr(10))\n"
    for name in IMPORTED:
        (aegis.root / f"{name}.py").write_text(evil)
    aegis.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache of its own")  # so that the index is built
    aegis.says("--help")
    with aegis.serving():
        aegis.run("spawn", "scripted", "--handle", "ada")
        aegis.run("send", "ada", "hello", "--wait")
        aegis.run("term", "spawn", "t")
        at_a_terminal(aegis, "term", "attach", "nonsuch", cwd=aegis.root)
    assert not proof.exists(), proof.read_text()


# -- the shell's index ---------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("how", ["owner", "file", "mode"])
def test_an_index_that_another_user_made_is_not_believed(aegis, tmp_path: Path, how: str):
    aegis.environment["XDG_CACHE_HOME"] = str(tmp_path / "caches")
    aegis.says("--help")
    [index] = (tmp_path / "caches" / "aegis").glob("index-*.json")
    forged = json.loads(index.read_bytes())
    forged["verbs"] = [v | {"help": "FORGED"} for v in forged["verbs"]]
    index.write_text(json.dumps(forged))
    assert "FORGED" in aegis.says("--help", "--all")  # as long as it is one's own
    match how:
        case "owner":
            given(index.parent)
        case "file":
            os.chown(index, STRANGER, STRANGER)
        case "mode":
            index.parent.chmod(0o777)
    assert "FORGED" not in aegis.says("--help", "--all")
