"""Real `aegis` processes in a project and a home of their own, seen from outside only."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aegis.testing.processes import commands, with_variable
from aegis_trust.trust import FOLDERS

sys.path.insert(0, str(Path(__file__).parent))  # helpers of these tests

AEGIS = str(Path(sys.executable).with_name("aegis"))
PATIENCE = 30  # seconds after which a test says what it waited for


class Aegis:
    """One project, and the `aegis` of the environment under test."""

    command = AEGIS

    def __init__(self, root: Path, home: Path, cache: Path) -> None:
        self.root = root
        self.environment = {
            "PATH": f"{Path(AEGIS).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home), "XDG_CACHE_HOME": str(cache), "LANG": "C.UTF-8", "TERM": "xterm",
            FOLDERS: os.pathsep.join(map(str, (root.parent, tempfile.gettempdir()))),
        }  # fmt: skip

    def start(self, *words: str, **more: object) -> subprocess.Popen[str]:
        """Start `aegis WORDS`."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([AEGIS, *words], cwd=self.root, env=self.environment, **(options | more))

    def run(self, *words: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Return what `aegis WORDS` said, having ended with this exit code."""
        done = subprocess.run(
            [AEGIS, *words], cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=PATIENCE,
            input=stdin or "", check=False,
        )  # fmt: skip
        assert done.returncode == code, f"aegis {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def says(self, *words: str) -> str:
        """Return the standard output of a command that succeeds, without its last line's end."""
        return self.run(*words).stdout.rstrip("\n")

    def json(self, *words: str) -> object:
        """Return the value a command prints with --json."""
        return self.json_of(*words)

    def json_of(self, *words: str, code: int = 0) -> object:
        """Return the value a command prints with --json, having ended with this exit code."""
        answer = json.loads(self.run("--json", *words, code=code).stdout)
        assert (answer["v"], answer["ok"]) == (1, True)
        return answer["value"]

    def refuses(self, *words: str, code: int) -> str:
        """Return the sentence on stderr of a command that ends with this code."""
        done = self.run(*words, code=code)
        assert done.stdout == ""
        assert done.stderr.startswith("aegis: ")
        assert done.stderr.count("\n") == 1, "one sentence"
        return done.stderr.removeprefix("aegis: ").rstrip("\n")

    @contextmanager
    def serving(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Have a kernel running in the project; it ends as SIGTERM asks it to."""
        server = self.start("serve", *words)
        try:
            self.wait_for_line(server, "aegis runs in")
            yield server
        finally:
            self.end(server)

    @staticmethod
    def wait_for_line(process: subprocess.Popen[str], beginning: str) -> str:
        """Return the next line of a process's output, which begins so; nothing is read beyond what has come."""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE), f"no {beginning!r} within {PATIENCE} s"
        line = process.stdout.readline()
        assert line.startswith(beginning), line + (process.stderr.read() if process.poll() is not None else "")
        return line

    @staticmethod
    def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
        """Ask the process to end, and return how many seconds it took; its pipes are closed."""
        began = time.monotonic()
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                pytest.fail(f"it had not ended {PATIENCE} s after {number.name}")
        took = time.monotonic() - began
        for pipe in (process.stdout, process.stderr):
            if pipe and not pipe.closed:
                pipe.close()
        return took

    def left(self) -> list[str]:
        """Return the command lines of the processes that still run with this home in their environment."""
        return commands(with_variable("HOME", self.environment["HOME"]))

    @staticmethod
    def eventually(true, what: str) -> None:
        """Wait until `true()` is, and say `what` was waited for when it never was."""
        until = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < until, f"{what} did not happen within {PATIENCE} s"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all, so that the index is gathered once."""
    return tmp_path_factory.mktemp("cache")


def build(folder: Path, cache: Path) -> Aegis:
    """Return an empty project, with a home in which nothing is."""
    for name in ("project", "home"):
        (folder / name).mkdir()
    return Aegis(folder / "project", folder / "home", cache)


@pytest.fixture
def aegis(tmp_path: Path, cache: Path) -> Aegis:
    """A project in which nothing runs yet."""
    return build(tmp_path, cache)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[[str], Aegis]:
    """Projects for all tests of a module, in which they set up what they need."""
    return lambda name: build(tmp_path_factory.mktemp(name), cache)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Aegis]:
    """A project with a kernel that runs, for all tests of a module; they leave no agent behind."""
    aegis = build(tmp_path_factory.mktemp("running"), cache)
    with aegis.serving():
        yield aegis


@pytest.fixture
def staffed(running: Aegis) -> Iterator[Aegis]:
    """That project, with the agents `ada` and `bob`."""
    for handle in ("ada", "bob"):
        assert running.says("spawn", "scripted", "--handle", handle) == f"{handle} is here (scripted)"
    yield running
    for row in running.json("sessions"):
        running.run("close", row["handle"])
