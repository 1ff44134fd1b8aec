"""A plugin that implements every hook and every interceptor point; `docs/reference/hooks.md` shows what stands here.

Each docstring says when aegis calls it, what it gets and what it returns. `tests/docs/test_every_hook.py` runs it all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import trio
from pydantic import Field

from aegis import (
    Answer,
    Caller,
    Client,
    Command,
    Decision,
    Hold,
    Kernel,
    PermissionRequest,
    Probe,
    Profile,
    Refused,
    Seat,
    Settings,
    Work,
    hookimpl,
    hookspec,
    verb,
)
from aegis.events import Event, SessionStarted, Text, TurnEnded
from aegis.turn import Turn
from aegis.verbs import VerbCall

# ------------------------------------------------------------------------------------------------------------- hooks


class ExampleSettings(Settings):
    """`plugins.example`."""

    greeting: str = Field("hello", description="how people are greeted")
    closed: bool = Field(False, description="no work begins, and nothing is spawned")


@hookimpl
def aegis_settings() -> Mapping[str, Any]:
    """Own a section.

    When: before the configuration is read, when aegis starts or the plugin enters.
    Gets: nothing.
    Returns: the sections and the pydantic type of each; a key that the type does not have is an error in the file.
    """
    return {"plugins.example": ExampleSettings}


class GreetingHooks:
    """The hooks that this plugin publishes."""

    @hookspec
    def example_greetings(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Return greetings for the day, each another word for hello."""


@hookimpl
def aegis_hookspecs() -> object:
    """Publish hooks of your own, for other plugins to implement.

    When: when aegis starts or the plugin enters, before anything else is asked.
    Gets: nothing.
    Returns: an object or module with methods marked `@hookspec`. The plugin asks its hook through
      `kernel.plugins.collect(hook, registry)`, which keeps the registry right while plugins come and go; those who
      implement it mark it `@hookimpl(optionalhook=True)`, so that they do without this plugin.
    """
    return GreetingHooks()


class ParrotSession:
    """A conversation with an agent that repeats what it is told; a real one reads and writes a CLI's pipes."""

    def __init__(self) -> None:
        self._said: list[Event] = [SessionStarted("parrot")]
        self._more = trio.Event()

    async def send(self, prompt: str) -> None:
        """Begin a turn."""
        self._said += [Text(prompt), TurnEnded("completed")]
        self._more.set()

    async def receive(self) -> Sequence[Event]:
        """Return what was said since the last time; wait when that is nothing."""
        await self._more.wait()
        said, self._said, self._more = self._said, [], trio.Event()
        return said

    async def interrupt(self) -> None:
        """Stop the turn: this one is over as soon as it begins."""


class ParrotDriver:
    """The provider `parrot`: `provider: parrot` in a profile starts such an agent."""

    name, settings, resumes = "parrot", Profile, False

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[ParrotSession]:
        """Start a session; a real driver starts its CLI here, with `seat.start(Command(…))`."""
        yield ParrotSession()

    def probe(self) -> Probe:
        """Say that the CLI is installed."""
        return Probe(True, "1.0")


@hookimpl
def aegis_drivers() -> list[ParrotDriver]:
    """Drive a provider's CLI.

    When: before the configuration is read: a driver's `settings` are the keys that its profiles may have.
    Gets: nothing.
    Returns: drivers. `aegis.testing.contracts.DriverContract` tests one.
    """
    return [ParrotDriver()]


class Greeter:
    """A way of working together: its verbs are shell commands, REPL commands and tools of agents."""

    name = "greeter"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings  # the mapping, not a value of it: it is always what the file says now
        self.running = trio.Event()

    def restore(self) -> None:
        """Optional: rebuild state from a book of the ledger, before anything runs."""

    async def run(self) -> None:
        """Optional: run for as long as the kernel lives; after a crash it is started again."""
        self.running.set()
        await trio.sleep_forever()

    @verb("example greet", read_only=True)
    async def greet(self, caller: Caller, name: Annotated[str, Field(description="whom to greet")]) -> str:
        """Greet somebody.

        For agents: greet once; nobody answers.
        """
        return f"{self._settings['plugins.example'].greeting} {name}, says {caller}"


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Greeter]:
    """Offer verbs.

    When: the kernel is whole and agents are known, but none runs yet.
    Gets: the kernel, and the sections that this plugin owns: keep the mapping, it is always what the file says now.
    Returns: objects with `@verb` methods; `restore` and `run` are optional.
    """
    return [Greeter(settings)]


class Counter:
    """A surface inside the kernel: this one only counts what happens; others serve a socket or a chat."""

    name = "counter"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self.seen = kernel, 0

    async def run(self, started: trio.Event) -> None:
        """Serve until cancelled; aegis goes on starting once `started` is set."""
        with self._kernel.bus.subscribe() as news:
            started.set()
            async for batches in news:
                self.seen += sum(len(batch.events) for batch in batches)


@hookimpl
def aegis_frontends(kernel: Kernel) -> list[Counter]:
    """Run a surface in the kernel.

    When: after the primitives, with their verbs there.
    Gets: the kernel, and `settings` if it asks for them: an implementation takes only the arguments it needs.
    Returns: services; each has 15 seconds to let callers in.
    """
    return [Counter(kernel)]


class Listing:
    """A surface at which a person sits: this one lists the agents and is done."""

    name = "listing"

    async def attach(self, client: Client) -> int:
        """Serve the person and return the exit code."""
        for agent in (await client.snapshot())["agents"]:
            print(agent["handle"])
        return 0


@hookimpl
def aegis_consoles() -> list[Listing]:
    """Offer a screen.

    When: a person types `aegis`; also in a process that only attaches to a running kernel.
    Gets: nothing; the console is given a client.
    Returns: consoles, of which `aegis` opens the first.
    """
    return [Listing()]


class Longest:
    """Folds answers into the longest one."""

    name = "longest"

    def fold(self, answers: Sequence[Answer]) -> str:
        """Return one JSON value, also for no answers at all."""
        return max((answer.text for answer in answers), key=len, default="")


@hookimpl
def aegis_reducers() -> list[Longest]:
    """Fold many answers into one: `aegis group broadcast … --reducer longest`.

    When: once, as the plugin enters.
    Gets: nothing.
    Returns: reducers: a name and a pure function. `aegis.testing.contracts.ReducerContract` tests one.
    """
    return [Longest()]


async def welcome(engine: Any, who: str) -> str:
    """Welcome somebody."""
    return f"welcome {who}"


@hookimpl(optionalhook=True)
def aegis_workflows() -> Iterable[Callable[..., Any]]:
    """Offer procedures: `aegis workflow run welcome --who anna`.

    When: once, as this plugin or aegis-workflow enters, whichever is later.
    Gets: nothing.
    Returns: async functions whose first parameter is the engine; the others are the workflow's arguments. Agents run
    one only if `.aegis.yaml` lists it for them, or its `agents_need` says which permission they need.
    """
    welcome.agents_need = "read"  # type: ignore[attr-defined]
    return [welcome]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Say to which files a book of the ledger is mirrored, for people who grep.

    When: once, as this plugin or aegis-records enters, whichever is later.
    Gets: nothing.
    Returns: pairs of a book and its file under `.aegis/state`; a field in braces gives one file for each of its values.
    """
    return [("greetings", "greetings/{who}.jsonl")]


class Vault:
    """A place to look secrets up in; a real one asks a keyring, or a program."""

    name = "vault"

    async def find(self, name: str) -> str | None:
        """Return the secret, or None: this source does not have it."""
        return {"GREETING_KEY": "open-sesame"}.get(name)

    def names(self) -> list[str]:
        """Return what may be named to whoever misspells one."""
        return ["GREETING_KEY"]


@hookimpl(optionalhook=True)
def aegis_secret_sources() -> list[Vault]:
    """Offer places where `${secret:NAME}` in a profile's `env` is looked up.

    When: once, as this plugin or aegis-environment enters, whichever is later.
    Gets: nothing.
    Returns: sources; they are asked, in the order in which they came, after aegis's own variables.
    """
    return [Vault()]


class Elsewhere:
    """An engine that keeps tasks on a server; the methods of `aegis_queue.broker.Broker` are left out here."""

    name = "elsewhere"


@hookimpl(optionalhook=True)
def aegis_brokers() -> list[Elsewhere]:
    """Keep the tasks of queues: `plugins.queue.broker: elsewhere` chooses this engine.

    When: once, as this plugin or aegis-queue enters, whichever is later.
    Gets: nothing.
    Returns: brokers, not open yet. `aegis_queue.testing.BrokerContract` tests one.
    """
    return [Elsewhere()]


@hookimpl
def aegis_interceptors(settings: Mapping[str, Any]) -> list[Policy]:
    """Cut across verbs, turns, launches and permissions.

    When: before the primitives, so that nothing happens without being asked about.
    Gets: the kernel and the settings, as far as it asks for them.
    Returns: objects with any of the points below.
    """
    return [Policy(settings)]


# ------------------------------------------------------------------------------------------------ interceptor points


class Policy:
    """An interceptor with every point; a real one has the two or three that it needs.

    `order` sorts interceptors (low first), `timeout` limits each call in seconds, and the failure of one that is
    `strict` refuses what was asked, instead of being reported and passed over.
    """

    name, order, timeout, strict = "example", 100, 10, False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    async def before_spawn(self, by: Caller, profile: str, handle: str) -> bool | None:
        """Say whether an agent may be started.

        When: before anything is started or written down.
        Gets: who asks, the profile, and the handle it will have.
        Returns: True to vouch for a spawn that the rules of profiles would not allow, None to leave it to them.
        Raises: `Refused` to forbid it.
        """
        if self._settings["plugins.example"].closed:
            raise Refused(f"no {profile} is started: `plugins.example.closed` is set")
        return None

    async def before_rename(self, by: Caller, agent_id: str, handle: str) -> None:
        """Say whether an agent may get another handle.

        When: before the handle is looked at and anything changes.
        Gets: who asks, the agent's id, and its new handle.
        Returns: nothing.
        Raises: `Refused` to forbid it.
        """
        if handle == "boss":
            raise Refused("nobody is the boss here")

    async def before_open(self, seat: Seat) -> None:
        """Add what the agent's CLI is to have.

        When: before the driver opens a session, so also when it is opened again.
        Gets: the seat: agent, profile, folder, environment, MCP servers, primer.
        Returns: nothing; it changes the seat.
        """
        seat.primer.append("Be brief.")
        seat.env["EXAMPLE"] = "1"

    async def before_launch(self, seat: Seat, command: Command) -> Command | None:
        """Rewrite the command that is about to run: a sandbox, another machine, another folder.

        When: each time a driver starts a process.
        Gets: the seat, and the command: argv, environment, folder.
        Returns: another command to run instead, or None.
        """
        return dataclasses.replace(command, argv=["nice", *command.argv])

    async def session_ended(self, seat: Seat) -> None:
        """Take down what was set up for the session.

        When: the session is gone, however it ended, and its processes with it.
        Gets: the seat.
        Returns: nothing.
        """

    async def admit(self, work: Work) -> Hold | None:
        """Say whether work may begin.

        When: before a task, a run or a schedule starts; again when what was held back may have changed.
        Gets: the work: what it is, where it waits, its profile, and on whose behalf it begins.
        Returns: a `Hold` with the reason if it must wait, else None.
        Raises: `Refused` when it may never begin.
        """
        return Hold("closed for now") if self._settings["plugins.example"].closed else None

    async def release(self, work: Work) -> None:
        """Give back what was reserved for work.

        When: work that was admitted does not begin after all.
        Gets: the work.
        Returns: nothing.
        """

    async def before_turn(self, turn: Turn) -> None:
        """Look at, or rewrite, what an agent is about to be told.

        When: before a prompt is sent.
        Gets: the turn; `turn.prompt` may be changed.
        Returns: nothing.
        Raises: `Refused` to end the turn before it begins.
        """
        turn.prompt = turn.prompt.replace("colour", "color")

    async def after_turn(self, turn: Turn, ended: TurnEnded) -> None:
        """Learn how a turn ended.

        When: after its end is on disk.
        Gets: the turn, and its end: outcome, reply, usage, cost.
        Returns: nothing.
        """

    async def before_verb(self, call: VerbCall) -> None:
        """Look at, or rewrite, a call.

        When: the arguments are validated and the verb has not run; whoever calls, from every surface.
        Gets: the call: verb, caller, arguments; changed arguments are validated again.
        Returns: nothing.
        Raises: `Refused` to forbid it.
        """
        if call.verb == "example greet" and not call.args["name"]:
            call.args["name"] = "stranger"

    async def after_verb(self, call: VerbCall, value: Any, error: Exception | None) -> None:
        """Learn what became of a call.

        When: the verb has returned or failed.
        Gets: the call, its value, or what it raised.
        Returns: nothing.
        """

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision | None:
        """Answer an agent that asks for permission.

        When: a CLI wants to use a tool that its mode does not simply allow; a `presumed` answer may be made stricter.
        Gets: the seat, and the request: tool, kind, input, files.
        Returns: a decision, or None to leave it to the next one; if nobody decides, it is denied.
        """
        return Decision("denied", "not in this project") if request.tool == "WebFetch" else None

    async def agent_started(self, agent_id: str) -> None:
        """Learn that an agent's session is open.

        When: its CLI is up and it can take a turn.
        Gets: the agent's id.
        Returns: nothing.
        """

    async def interrupted(self, agent_id: str) -> None:
        """Learn that a turn is being cut short.

        When: just before the CLI is told to stop.
        Gets: the agent's id.
        Returns: nothing.
        """

    async def agent_closed(self, agent_id: str) -> None:
        """Learn that an agent is gone for good.

        When: after its session has ended, and its mailbox with it.
        Gets: the agent's id.
        Returns: nothing.
        """
