"""A quiet CLI reaches nobody but its model: a proxy on the loopback that lets nothing through writes down who else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model
from stage import scrubbed

import aegis_environment.plugin
import aegis_opencode.plugin
from aegis import open_kernel
from aegis.driver import Driver, info_of
from aegis.events import TurnEnded
from aegis.testing.seats import Seats, turn
from aegis_claude.driver import ClaudeDriver
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver

PACKAGES, STATISTICS = "where packages come from", "play.googleapis.com:443"
SWITCHES = ("CLAUDE_CODE_DISABLE_", "DISABLE_", "OPENCODE_DISABLE_")


class Recorder(ThreadingHTTPServer):
    """A proxy that refuses everybody and remembers where they wanted to go."""

    daemon_threads = True

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Refuses)

    def variables(self) -> dict[str, str]:
        """Return what sends a CLI's requests here, but for those to the loopback."""
        ours, direct = f"http://127.0.0.1:{self.server_port}", "127.0.0.1,localhost"
        names = {"http_proxy": ours, "https_proxy": ours, "all_proxy": ours, "no_proxy": direct}
        return names | {name.upper(): value for name, value in names.items()}


class _Refuses(BaseHTTPRequestHandler):
    server: Recorder

    def do_CONNECT(self) -> None:
        self.server.wanted.add(PACKAGES if self.path.startswith("registry.") else self.path)
        self.send_error(502)

    do_GET = do_POST = do_HEAD = do_CONNECT

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def recording() -> Iterator[Recorder]:
    """Run the recorder."""
    with Recorder() as recorder:
        Thread(target=recorder.serve_forever, daemon=True).start()
        yield recorder
        recorder.shutdown()


def staged(name: str, home: Path, model: Model) -> tuple[Driver, dict[str, Any], dict[str, str]]:
    """Return the driver, the keys of a profile, and an environment in which nothing keeps the CLI quiet."""
    if name == "claude":
        home.mkdir()
        driver, environment, named = ClaudeDriver(), scrubbed(home, model), "claude-sonnet-4-5"
        environment = {n: v for n, v in environment.items() if not n.startswith(SWITCHES)}
        return driver, {"model": named}, environment
    if name == "gemini":
        environment = gemini_environment(home, model)
        (home / ".gemini" / "settings.json").unlink()
        return GeminiDriver(), {"model": "gemini-2.5-pro"}, environment
    environment = opencode_environment(home, model)
    environment = {n: v for n, v in environment.items() if not n.startswith(SWITCHES)}
    return OpenCodeDriver(), {"model": "probe/scripted"}, environment


@pytest.mark.parametrize(
    ("name", "loud", "quiet"),
    [
        ("claude", {"api.anthropic.com:443"}, set()),
        ("gemini", {STATISTICS}, {STATISTICS}),  # but where a person's own settings say no
        ("opencode", {"models.opencode.ai:443", PACKAGES}, {PACKAGES}),
    ],
)
async def test_a_quiet_cli_calls_nobody(
    request: pytest.FixtureRequest, tmp_path: Path, model: Model, name: str, loud: set[str], quiet: set[str]
) -> None:
    command = [request.getfixturevalue(name)]
    for is_quiet in (False, True):
        (folder := tmp_path / f"quiet-{is_quiet}").mkdir()
        driver, keys, environment = staged(name, folder / "home", model)
        with recording() as recorder:
            seats = Seats(driver, folder, environment | recorder.variables())
            async with seats.open(keys | {"command": command, "quiet": is_quiet}) as session:
                end = (await turn(session, "hello"))[-1]
                assert isinstance(end, TurnEnded) and end.outcome == "completed"
                with trio.fail_after(30):
                    while not (is_quiet or recorder.wanted >= loud):  # noqa: ASYNC110 - nobody tells what another calls
                        await trio.sleep(0.05)
            assert recorder.wanted <= quiet if is_quiet else recorder.wanted >= loud
    assert bool(info_of(driver).calls_home) is bool(quiet), "what it still does is said"


async def test_what_opencode_unpacks_goes_with_its_session(
    tmp_path: Path, project: Path, opencode: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves a library of five megabytes in the folder for temporary files, each time."""
    (shared := tmp_path / "tmp").mkdir(mode=0o700)
    environment = opencode_environment(tmp_path / "home", model)
    for name, value in environment.items() | {("TMPDIR", str(shared))}:
        monkeypatch.setenv(name, value)
    keys = {"provider": "opencode", "command": [opencode], "model": "probe/scripted"}
    (project / ".aegis.yaml").write_text(json.dumps({"agents": {"ann": keys}}))
    plugins = {"environment": aegis_environment.plugin, "opencode": aegis_opencode.plugin}
    async with open_kernel(project, plugins=plugins) as kernel:
        agent = await kernel.roster.spawn("ann", "ann")
        folder = Path(agent.seat.env["TMPDIR"])
        receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, "hello"))
        with trio.fail_after(60):
            assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
        assert list(folder.rglob("*.so")), "it was there"
        await kernel.roster.close(agent)
        assert not folder.exists()
    assert list(shared.rglob("*.so")) == []
