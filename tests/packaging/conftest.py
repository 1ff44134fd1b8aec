"""Clean environments, made from wheel files and nothing else of ours."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from uv import find_uv_bin
from workspace import ROOT, members

from aegis_trust.trust import FOLDERS

STRANGER = Path(__file__).parent / "acme-aegis-dice"


def finished(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; fail with all it said."""
    answer = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"{' '.join(map(str, command))}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


class Environment:
    """A virtual environment with nothing of the one these tests run in."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        finished(find_uv_bin(), "venv", "-q", "--python", sys.executable, folder / "venv")

    def install(self, *wheels: Path) -> None:
        """Install wheel files; what they need of others comes from the cache, else from the index."""
        command = [find_uv_bin(), "pip", "install", "-q", "--python", self.bin / "python"]
        command += ["--constraint", ROOT / "constraints.txt", *wheels]
        offline = subprocess.run([*map(str, command), "--offline"], capture_output=True, check=False)
        if offline.returncode:
            finished(*command)

    @property
    def variables(self) -> dict[str, str]:
        """What its programs inherit."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.defpath}", "HOME": str(self.home), "TERM": "xterm-256color",
            "LANG": "C.UTF-8", FOLDERS: os.environ[FOLDERS],
        }  # fmt: skip

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run one of its programs and return what it printed."""
        return finished(self.bin / command[0], *command[1:], cwd=cwd or self.home, env=self.variables)


def with_ours(distributions: Iterable[str]) -> list[str]:
    """Return these and what they need of ours: no name of ours is ever looked for in an index."""
    needs = {m.distribution: m.toml["project"]["dependencies"] for m in members()}
    found = list(dict.fromkeys(distributions))
    for name in found:
        found += [need for need in needs.get(name, ()) if need in needs and need not in found]
    return found


@pytest.fixture
def together() -> Callable[..., list[str]]:
    """These distributions and what they need of ours, in order of their names."""
    return lambda *distributions: sorted(with_ours(distributions))


@pytest.fixture
def done() -> Callable[..., str]:
    """Run a command to its end and return what it printed; fail with all it said."""
    return finished


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all wheels of this run, which its workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "wheels"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wheel(wheels: Path) -> Callable[[str], Path]:
    """The wheel file of a distribution, built once; without a network, with the hatchling that is here."""
    sources = {m.distribution: m.folder for m in members()} | {"aegis-meta-harness": ROOT, STRANGER.name: STRANGER}

    def build(distribution: str) -> Path:
        out = wheels / distribution
        with (wheels / f"{distribution}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not list(out.glob("*.whl")):
                command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out]
                finished(*command, cwd=sources[distribution])
        return next(out.glob("*.whl"))

    return build


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, wheel: Callable[[str], Path]) -> Callable[..., Environment]:
    """A clean environment with these distributions, installed from their wheel files."""

    def make(*distributions: str) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("clean"))
        environment.install(*(wheel(name) for name in with_ours(distributions)))
        return environment

    return make
