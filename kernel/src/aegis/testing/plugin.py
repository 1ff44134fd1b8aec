"""What pytest learns from aegis: `async def` tests under trio, and the fixtures of the kit.

A test that leaves a process or a descriptor behind fails; `@pytest.mark.leaks("why")` excuses it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aegis.app import Kernel, open_kernel
from aegis.testing import leaks, trio_tests
from aegis.testing.clock import TestClock
from aegis_processes import family
from aegis_trust.trust import FOLDERS

Opened = Callable[..., AbstractAsyncContextManager[Kernel]]


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, trust the projects of tests, and let what tests start hear every signal.

    The last also in a run under `nohup` or after `&`.
    """
    places = (tempfile.gettempdir(), config.option.basetemp)
    os.environ.setdefault(FOLDERS, os.pathsep.join(str(Path(place).resolve()) for place in places if place))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # a child inherits that a signal is ignored, but no handler
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "leaks(why): this test may leave a process or a descriptor behind")
    config.addinivalue_line("markers", "ability(name, ..., no=''): what this test proves of a CLI, or that it lacks")
    config.addinivalue_line("markers", "scene(word, ...): what the CLI under a driver's contract must be able to play")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Let an async fixture promise its value; the test keeps the promise inside its own trio run."""
    function = fixturedef.func
    if not trio_tests.is_async(function) or fixturedef.scope != "function" or not _ours(request):
        return (yield)
    fixturedef.func = trio_tests.promise(function, request.instance)
    try:
        return (yield)
    finally:
        fixturedef.func = function


def _ours(request: pytest.FixtureRequest) -> bool:
    return not any(request.node.get_closest_marker(other) for other in ("trio", "anyio", "asyncio"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run an async test under trio and see that nothing is left behind."""
    family.adopt_no_more()  # what other tests had here is no reason for orphans of what this one starts to stay
    if any(pyfuncitem.get_closest_marker(other) for other in ("trio", "anyio", "asyncio")):
        return None
    if not trio_tests.is_async(pyfuncitem.obj):
        trio_tests.refuse(pyfuncitem)
        return None
    before = leaks.Held.now()
    trio_tests.run(pyfuncitem.obj, pyfuncitem.funcargs, pyfuncitem._fixtureinfo.argnames)  # noqa: SLF001 - as pytest's own
    if not pyfuncitem.get_closest_marker("leaks") and (found := leaks.left(before)):
        pytest.fail("left behind: " + "; ".join(found), pytrace=False)
    return True


@pytest.fixture
def clock() -> TestClock:
    """The time of this test: trio's and the kernel's."""
    return TestClock()


@pytest.fixture
def autojump(clock: TestClock) -> TestClock:
    """The test's clock, moving to the next deadline whenever every task waits."""
    clock.autojump()
    return clock


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder that is nobody's project yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What CLIs inherit in tests: a HOME of their own and nothing of the person who runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8"}


@pytest.fixture
def plugins() -> dict[str, object]:
    """The plugins of `kernel`, by name; override it."""
    return {}


@pytest.fixture
def kernel_with(project: Path, environment: dict[str, str], clock: TestClock) -> Opened:
    """Open a kernel on the test's project with these plugins and no others: `async with kernel_with(inbox=plugin)`.

    Opening it again after it was left is a restart.
    """

    @asynccontextmanager
    async def opened(**plugins: object) -> AsyncIterator[Kernel]:
        async with open_kernel(project, plugins=plugins, clock=clock, environment=environment) as kernel:
            yield kernel

    return opened


@pytest.fixture
async def kernel(kernel_with: Opened, plugins: dict[str, object]) -> AsyncIterator[Kernel]:
    """A kernel that runs for the length of the test."""
    async with kernel_with(**plugins) as running:
        yield running


@pytest.fixture
def fakecli(tmp_path: Path) -> Callable[[object, str], list[str]]:
    """Return the command of a fake CLI that follows a script: `fakecli([{"do": [{"say": "x"}]}], "acme_fake.cli")`.

    The module is a program that speaks a provider's protocol, from a `ScriptedAgent`, and takes `--script FILE`.
    """

    def command(script: object, module: str) -> list[str]:
        file = tmp_path / f"script-{len(list(tmp_path.glob('script-*.json')))}.json"
        file.write_text(json.dumps(script), encoding="utf-8")
        return [sys.executable, "-Pm", module, "--script", str(file)]

    return command
