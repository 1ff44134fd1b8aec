"""What a driver package offers: one provider's CLI, opened as sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from aegis.events import Event, ToolKind
from aegis_processes.processes import Command, Process

Permission = Literal["read", "write", "full", "auto"]


class Profile(BaseModel):
    """A declared kind of agent: one entry of `agents:` in `.aegis.yaml`. A driver's subclass adds its own keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str = Field(description="which driver runs it")
    model: str | None = Field(None, description="the provider's model; none leaves the CLI's own default")
    permission: Permission = Field("auto", description="read, write, full, or auto (ask a person)")
    verbs: list[str] | None = Field(None, description="the verbs this agent may use; none means all")
    spawns: list[str] | None = Field(None, description="profiles it may spawn; none: those that may do no more")
    sees: Literal["own", "all"] | None = Field(None, description="own or all: what it reads; none: as its starter")
    quiet: bool = Field(True, description="its CLI sends no telemetry and gets no updates, as far as it can be told so")
    turn_limit: float = Field(3600, gt=0, description="seconds after which a turn is ended for the agent")
    cwd: Path | None = Field(None, description="working folder, relative to the project")
    env: dict[str, str] = Field(default_factory=dict, description="variables added to the CLI's environment")
    prompt: str = Field("", description="standing instructions added to the primer")


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server the agent's CLI is told about."""

    name: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """What an agent (or a `verb` for it) wants to do; `presumed` by its mode holds unless denied; `id`: ours."""

    id: str
    tool: str
    kind: ToolKind = "other"
    title: str = ""
    input: Any = None
    paths: tuple[str, ...] = ()
    presumed: Decision | None = None
    verb: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """How a permission request ended, and why."""

    outcome: Literal["allowed", "denied", "expired", "cancelled"]
    reason: str = ""

    @property
    def allowed(self) -> bool:
        """True when the tool may run."""
        return self.outcome == "allowed"


@dataclass(slots=True)
class Seat:
    """What an agent is given that is about to start; `before_open` interceptors add servers, primer and env.

    `start` runs a command, after `before_launch`, and leaves no process; `ask` returns how a permission request ended.
    """

    agent_id: str
    handle: str
    profile: Profile
    cwd: Path
    folder: Path
    start: Callable[[Command], AbstractAsyncContextManager[Process]]
    ask: Callable[[PermissionRequest], Awaitable[Decision]]
    resume: str = ""
    env: dict[str, str] = field(default_factory=dict)
    servers: list[McpServer] = field(default_factory=list)
    primer: list[str] = field(default_factory=list)


class Session(Protocol):
    """A live CLI. `send` begins a turn; `receive` gives what it says, with exactly one `TurnEnded` for each `send`."""

    async def send(self, prompt: str) -> None:
        """Hand the prompt to the idle CLI; it is on its way when this returns."""

    async def receive(self) -> Sequence[Event]:
        """Wait for the next events; raise `LaunchError` naming command, exit code and stderr once the CLI is gone."""

    async def interrupt(self) -> None:
        """Ask the turn in flight to stop; nothing happens when idle."""


@runtime_checkable
class Identified(Protocol):
    """A session that knows the provider's own id of its conversation when it is entered; others say it as an event."""

    session_id: str


class Driver(Protocol):
    """One provider. `settings` is its profile model; entering `open` starts the CLI, leaving it leaves no process."""

    name: str
    settings: type[Profile]
    resumes: bool

    def open(self, seat: Seat) -> AbstractAsyncContextManager[Session]:
        """Start a session for the agent in this seat; raise `LaunchError` if the CLI does not come up."""

    def probe(self) -> Probe:
        """Say whether the CLI is installed, which version, and where; starts at most `CLI --version`."""


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """What a driver may say of its provider, as its attribute `info`; the defaults hold for a driver without one."""

    aliases: tuple[str, ...] = ()  # other names of the provider in profiles
    fallback: bool = False  # it is the default agent only where no other CLI is installed
    costs: bool = False  # the end of a turn says its dollars; budgets in dollars need this or a price list
    plane: tuple[str, ...] = ("mcp__aegis__", "aegis__")  # how its CLI begins the name of a tool of ours
    environment: tuple[str, ...] = ()  # variables of its provider's, or patterns with `*`, that its CLI inherits
    calls_home: str = ""  # what its CLI still does on the network by itself where a profile is `quiet`
    meters: bool = False  # tokens are told after each request of a turn, so a budget can stop the turn


@runtime_checkable
class Checks(Protocol):
    """A driver whose `check` raises `Refused` for a profile that it cannot start, or not hold to its permission."""

    def check(self, profile: Profile) -> None: ...


_NOTHING = DriverInfo()


def info_of(driver: Driver) -> DriverInfo:
    """Return what the driver says of its provider as its `info`, or the defaults."""
    return getattr(driver, "info", _NOTHING)  # asked at every start, and slow to tell from a protocol


def by_every_name(drivers: Mapping[str, Driver]) -> dict[str, Driver]:  # all that a profile may call them
    return {alias: d for d in drivers.values() for alias in info_of(d).aliases} | dict(drivers)


@dataclass(frozen=True, slots=True)
class Probe:
    """What `aegis doctor` says of a provider; `proven` is the version the tests ran against."""

    found: bool
    version: str = ""
    path: str = ""
    proven: str = ""
    hint: str = ""
