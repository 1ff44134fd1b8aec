"""The example of a front end works, installed as a stranger would have it, in a real kernel."""

import json
import shutil
import tempfile
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio
from workspace import ROOT

from aegis.project import Project

EXAMPLE = ROOT / "docs/examples/server-sent-events"


@pytest.fixture
def installed(aegis, monkeypatch):
    """A aegis in whose environment the example is installed, in a folder whose path fits a socket's address."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    [(name, module)] = project["entry-points"]["aegis.plugins"].items()
    with tempfile.TemporaryDirectory() as folder:
        site, aegis.root = Path(folder) / "site", Path(folder) / "project"
        info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        for path in (info, aegis.root):
            path.mkdir(parents=True)
        shutil.copy(EXAMPLE / f"{module}.py", site)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        (info / "entry_points.txt").write_text(f"[aegis.plugins]\n{name} = {module}\n")
        aegis.environment["PYTHONPATH"] = str(site)
        yield aegis


class Reader:
    """What a reader of events sees, one message after another."""

    def __init__(self, stream):
        self._stream, self._rest = stream, b""

    async def part(self):
        """Return the next part, which an empty line ends."""
        with trio.fail_after(30):
            while b"\n\n" not in self._rest:
                chunk = await self._stream.receive_some()
                assert chunk, f"it ended after {self._rest}"
                self._rest += chunk.replace(b"\r\n", b"\n")
        part, _, self._rest = self._rest.partition(b"\n\n")
        return part.decode()

    async def rest(self):
        """Return everything up to the end."""
        with trio.fail_after(30):
            return self._rest + b"".join([chunk async for chunk in self._stream])

    async def message(self):
        """Return the next message's number and data."""
        fields = dict(line.split(": ", 1) for line in (await self.part()).splitlines())
        return int(fields["id"]), json.loads(fields["data"])

    async def turn(self):
        """Return the messages up to the end of a turn."""
        found = [await self.message()]
        while found[-1][1]["event"]["t"] != "TurnEnded":
            found.append(await self.message())
        return found


@asynccontextmanager
async def asking(aegis, request, *headers):
    """Send a request and enter what comes back, after the head."""
    async with await trio.open_unix_socket(str(Project(aegis.root).state / "sse.sock")) as stream:
        await stream.send_all("\r\n".join([f"{request} HTTP/1.1", "Host: aegis", *headers, "", ""]).encode())
        reader = Reader(stream)
        yield (await reader.part()).split(" ")[1], reader


async def post(aegis, target):
    async with asking(aegis, f"POST {target}") as (status, reader):
        return status, json.loads(await reader.rest())


async def test_a_reader_that_is_cut_off_comes_back_and_misses_nothing(installed):
    with installed.serving():
        async with asking(installed, "GET /") as (status, reader):
            assert status == "200"
            number, snapshot = await reader.message()
            assert snapshot["number"] == number
            assert snapshot["caller"] == "web:reader"
            status, spawned = await post(installed, "/spawn?agent=scripted&handle=ada")
            assert (status, spawned["handle"]) == ("200", "ada")
            await post(installed, "/send?handle=ada&text=hello")
            seen = await reader.turn()
            assert [n for n, _ in seen] == list(range(number + 1, seen[-1][0] + 1)), "every event, once"
        await post(installed, "/send?handle=ada&text=hello%20again")
        installed.run("send", "ada", "and again", "--wait")
        async with asking(installed, "GET /", f"Last-Event-ID: {seen[-1][0]}") as (_, reader):
            missed = [*await reader.turn(), *await reader.turn()]
            assert [n for n, _ in missed] == list(range(seen[-1][0] + 1, missed[-1][0] + 1))
            assert "Gap" not in {data["event"]["t"] for _, data in missed}


async def test_what_is_refused_is_said_and_whoever_goes_or_speaks_nonsense_disturbs_nobody(installed):
    with installed.serving() as server:
        status, answer = await post(installed, "/read?handle=nobody")
        assert status == "400"
        assert "no agent 'nobody'" in answer["error"]
        held = psutil.Process(server.pid).num_fds()
        for nonsense in (b"\r\n\r\n", b"GET\r\n\r\n", b"\xff \xff \xff\r\n\r\n", b"x" * 100_000):
            async with await trio.open_unix_socket(str(Project(installed.root).state / "sse.sock")) as stream:
                await stream.send_all(nonsense)
        for _ in range(20):
            async with asking(installed, "GET /") as (_, reader):
                await reader.message()
        installed.eventually(lambda: psutil.Process(server.pid).num_fds() <= held, "the end of those who have gone")
        async with asking(installed, "GET /") as (_, reader):
            faults = (await reader.message())[1]["faults"]
    assert [fault for fault in faults if fault["source"].startswith("sse")] == []


def test_it_has_at_most_sixty_lines():
    text = (EXAMPLE / "acme_aegis_sse.py").read_text()
    assert sum(1 for line in text.splitlines() if line.strip()) <= 60
