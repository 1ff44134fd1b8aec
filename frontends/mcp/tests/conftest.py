"""A kernel with the plane, agents whose CLI is the test itself, and verbs that do what tests need."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import trio
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

import aegis_mcp.plugin
from aegis import Caller, Kernel, Profile, Refused, Seat, hookimpl, report, verb
from aegis.driver import Probe
from aegis.envelope import Receipt
from aegis.events import SessionStarted, Text, TurnEnded
from aegis_mcp.service import Plane

PERSON = Caller("human", "anna")
MODERN, LEGACY = "2026-07-28", "legacy"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Pass over what the SDK's own HTTP client leaves to the collector."""
    for what in ("Async generator:ResourceWarning", ".*async_generator object:pytest.PytestUnraisableExceptionWarning"):
        item.add_marker(pytest.mark.filterwarnings(f"ignore:{what}"))


class Session:
    """A CLI that says what it was told, and keeps a turn open when it is told `hold`."""

    session_id = "s-1"

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.news = trio.Event()

    def say(self, *events: Any) -> None:
        self.said += events
        self.news.set()

    async def send(self, prompt: str) -> None:
        end = [] if prompt.endswith("hold") else [TurnEnded("completed")]
        self.say(SessionStarted("s-1"), Text(prompt), *end)

    async def receive(self) -> list[Any]:
        await self.news.wait()
        self.news = trio.Event()
        said, self.said = self.said, []
        return said

    async def interrupt(self) -> None:
        self.say(TurnEnded("cancelled"))


class Driver:
    """Hands every seat to the test."""

    name, settings, resumes = "puppet", Profile, True

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}

    @asynccontextmanager
    async def open(self, seat: Seat):
        self.seats[seat.handle] = seat
        yield Session()

    def probe(self) -> Probe:
        return Probe(True)


class Further:
    """A plugin that comes while the kernel runs."""

    @verb("further")
    async def further(self, caller: Caller) -> str:
        """Say that there is more."""
        return "more"


SHOWN: dict[str, Any] = {
    "text": 'Größe \u2028 \U0001f600 \x7f \x01 \t " \\ / </script>',
    "lines": "one\r\ntwo\n\ndata: three\revent: x",
    "empty": "",
    "surrogate": "\ud800",
    "number": 1.0,
    "numbers": [0.1, 1e16, 1e22, 1e-7, -0.0, 10**30, -(2**63), True, None],
    "strange numbers": [float("nan"), float("inf"), -float("inf")],
    "nested": {"b": {"c": [{}, [], None, {"d": None}]}, "a": "é", "": ""},
    "keys": {1: "one", None: "none"},
    "bytes": b"\x00ab",
    "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "set": {1},
    "nothing": None,
    "long": "x" * 100_000,
}


class Toys:
    """Verbs of the tests; `started` and `ended` follow the slow one."""

    name, Further, SHOWN = "toys", Further, SHOWN

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.ended: list[str] = []
        self.renew()

    def renew(self) -> None:
        """Be ready for another slow call."""
        self.go, self.started, self.over = trio.Event(), trio.Event(), trio.Event()

    @verb("whoami", read_only=True)
    async def whoami(self, caller: Caller) -> str:
        """Say who calls."""
        return f"{caller}"

    @verb("add")
    async def add(self, caller: Caller, a: int, b: int = 1) -> int:
        """Add two numbers.

        The second is one unless said.
        """
        return a + b

    @verb("wipe", destructive=True)
    async def wipe(self, caller: Caller) -> None:
        """Wipe it all."""

    @verb("post", tool="aegis_post_it")
    async def post(self, caller: Caller) -> Receipt:
        """Return something that speaks for itself."""
        return Receipt("01X", "bob", "accepted", position=2)

    @verb("show")
    async def show(self, caller: Caller, which: str) -> Any:
        """Show a value that is hard to write."""
        return SHOWN[which]

    @verb("deny fully")
    async def deny_fully(self, caller: Caller) -> None:
        """Refuse, with more for programs."""
        raise Refused("no", reason="the door", left=[1, None])

    @verb("deny")
    async def deny(self, caller: Caller) -> None:
        """Refuse."""
        raise Refused("no: the door is shut; ring twice")

    @verb("break")
    async def broken(self, caller: Caller) -> None:
        """Fail."""
        raise ZeroDivisionError("secret detail")

    @verb("exit")
    async def exit(self, caller: Caller) -> None:
        """Try to end the process."""
        raise SystemExit(3)

    @verb("slow")
    async def slow(self, caller: Caller, text: str = "half way") -> str:
        """Take as long as the test wants."""
        report(text)
        self.started.set()
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.ended.append("cancelled")
            self.over.set()
            raise
        self.ended.append("done")
        return "slowly done"

    @verb("more")
    async def more(self, caller: Caller) -> str:
        """Bring another verb."""
        self.kernel.verbs.add("further", Further())
        return "added"

    @verb("people only", for_={"person"})
    async def people(self, caller: Caller) -> str:
        """Serve people."""
        return "you are a person"

    @verb("trace")
    async def trace(self, caller: Caller) -> dict[str, Any]:
        """Show what the call belongs to."""
        return {"trace": caller.trace, "hops": caller.hops}


class Puppets:
    """The plugin of the tests."""

    def __init__(self) -> None:
        self.driver = Driver()
        self.toys: Toys | None = None

    @hookimpl
    def aegis_drivers(self) -> list[Any]:
        return [self.driver]

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        self.toys = Toys(kernel)
        return [self.toys]


class Watched:
    """The plugin of the plane, and the plane it offered."""

    aegis_settings = staticmethod(aegis_mcp.plugin.aegis_settings)

    @hookimpl
    def aegis_frontends(self, kernel: Kernel, settings: Any) -> list[Any]:
        [self.plane] = aegis_mcp.plugin.aegis_frontends(kernel, settings)
        return [self.plane]


class Scene:
    """What a test works with: the kernel, its agents, and clients in their names."""

    Raw: type[Raw]

    def __init__(self, kernel: Kernel, puppets: Puppets, watched: Watched) -> None:
        self.watched = watched
        self.kernel, self.driver = kernel, puppets.driver
        assert puppets.toys
        self.toys = puppets.toys

    @property
    def plane(self) -> Plane:
        return self.watched.plane

    async def spawn(self, handle: str):
        return await self.kernel.roster.spawn("puppet", handle)

    def url(self, handle: str) -> str:
        return self.driver.seats[handle].servers[0].url

    def secret(self, handle: str) -> str:
        return self.driver.seats[handle].servers[0].headers["Authorization"].removeprefix("Bearer ")

    @asynccontextmanager
    async def client(self, handle: str, mode: str = MODERN, *, in_path: bool = False):
        """A client of this agent, by header or by path."""
        url, secret = self.url(handle), self.secret(handle)
        headers = {} if in_path else {"Authorization": f"Bearer {secret}"}

        async with httpx2.AsyncClient(headers=headers, timeout=None) as http:
            transport = streamable_http_client(f"{url}/{secret}" if in_path else url, http_client=http)
            async with Client(transport, mode="auto" if mode == MODERN else mode) as client:
                yield client

    @staticmethod
    def text(result: Any) -> str:
        """The text of a tool's result."""
        return result.content[0].text

    async def status(self):
        return await self.kernel.verbs.call(PERSON, "plane status")


class Raw:
    """HTTP as a CLI speaks it, byte for byte where that matters."""

    def __init__(self, scene: Scene, handle: str) -> None:
        self.scene, self.handle = scene, handle
        self.http = httpx2.AsyncClient(timeout=None)
        self.session = ""

    def headers(self, **more: str) -> dict[str, str]:
        auth = f"Bearer {self.scene.secret(self.handle)}"
        base = {"authorization": auth, "accept": "application/json, text/event-stream"}
        session = {"mcp-session-id": self.session} if self.session else {}
        return base | session | {k.replace("_", "-"): v for k, v in more.items()}

    async def post(self, method: str, params: Any = None, *, number: int | None = 1, url: str = "", **headers: str):
        body = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if number is not None:
            body["id"] = number
        response = await self.http.post(url or self.scene.url(self.handle), json=body, headers=self.headers(**headers))
        self.session = response.headers.get("mcp-session-id", self.session)
        return response

    async def hello(self) -> None:
        """Shake hands as Gemini does."""
        info = {"name": "gemini", "version": "1"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info}
        assert (await self.post("initialize", hello)).status_code == 200
        assert (await self.post("notifications/initialized", number=None)).status_code == 202

    async def call(self, tool: str, **arguments: Any):
        return await self.post("tools/call", {"name": tool, "arguments": arguments}, number=2)


Scene.Raw = Raw


@pytest.fixture
def open_scene(kernel_with):
    """Open the kernel; again, after it was left, is a restart."""

    @asynccontextmanager
    async def opened():
        puppets, watched = Puppets(), Watched()
        async with kernel_with(mcp=watched, puppets=puppets) as kernel:
            await watched.plane.up()
            assert not kernel.bus.faults
            yield Scene(kernel, puppets, watched)

    return opened


@pytest.fixture
async def scene(open_scene):
    async with open_scene() as running:
        yield running


@pytest.fixture
async def raw(scene):
    """Make a raw client in an agent's name."""
    async with AsyncExitStack() as stack:

        def made(handle: str) -> Raw:
            client = Raw(scene, handle)
            stack.push_async_callback(client.http.aclose)
            return client

        yield made


@pytest.fixture(params=[MODERN, LEGACY])
def mode(request) -> str:
    """Both protocol eras."""
    return request.param
