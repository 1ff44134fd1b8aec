"""The real CLIs, cut off from the world: no account, no network but the loopback, a home of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))  # importlib mode puts no test folder on the path

from model_server import Model, running  # noqa: E402
from proofs import Proofs  # noqa: E402
from stage import Stage  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let what the run finds be written instead of compared."""
    parser.addoption("--matrix", action="store_true", help="write docs/reference/providers.json (see `make matrix`)")
    parser.addoption("--proofs", help="write into this file what a whole run in which no test fails would find")


def pytest_configure(config: pytest.Config) -> None:
    """Gather what is proved of whom."""
    config.pluginmanager.register(Proofs(config))


def closed_network() -> bool:
    """Return whether this machine, as we see it, has no network but the loopback."""
    return sys.platform == "linux" and [p.name for p in Path("/sys/class/net").iterdir()] == ["lo"]


def pytest_report_header() -> str:
    """Say whether the CLIs could reach anything at all."""
    return "live: " + ("loopback only" if closed_network() else "network NOT closed (use tests/live/run)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.live)


def installed(cli: str) -> str:
    """Return the real CLI: of `AEGIS_CLIS`, else of `.clis` in the repository."""
    folder = Path(os.environ.get("AEGIS_CLIS", ROOT / ".clis"))
    binary = folder / "node_modules" / ".bin" / cli
    if not binary.exists():
        if "AEGIS_CLIS" in os.environ:
            pytest.fail(f"AEGIS_CLIS names {folder}, which has no node_modules/.bin/{cli}")
        pytest.skip(f"{cli} is not installed; `make clis` does it")
    return str(binary.resolve())


@pytest.fixture(scope="session")
def claude() -> str:
    """Return the real Claude Code."""
    return installed("claude")


@pytest.fixture(scope="session")
def gemini() -> str:
    """Return the real Gemini CLI."""
    return installed("gemini")


@pytest.fixture(scope="session")
def opencode() -> str:
    """Return the real OpenCode."""
    return installed("opencode")


@pytest.fixture
def model() -> Iterator[Model]:
    """Run a scripted model that says "ok" until told otherwise."""
    with running() as server:
        yield server


@pytest.fixture
def stage(tmp_path: Path, claude: str, model: Model) -> Iterator[Stage]:
    """Return a project and a home to open sessions in."""
    yield Stage(tmp_path, claude, model)
    shutil.rmtree(tmp_path, ignore_errors=True)
