"""Claude Code as sessions: a process, its pipes, and the requests that pass over them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio

from aegis import Decision, DriverInfo, LaunchError, PermissionRequest, Probe, Process, Profile, Seat, SessionGone
from aegis.driver import Permission
from aegis.events import Event, ToolKind
from aegis_claude import tools, wire
from aegis_claude.profile import OWN_VARIABLES, ClaudeProfile, command
from aegis_claude.translate import Translator
from aegis_jsonrpc.values import items, mapping, text

PROVEN = "2.1.329"
_START = 60.0  # seconds to answer the first request; 20 of them at once on two cores need about eight
_DELICATE = "safetyCheck"  # how the CLI says that a file is one of its settings, of git's hooks, of the shell's start


class ClaudeDriver:
    """The provider `claude-code`."""

    name = "claude-code"
    info = DriverInfo(aliases=("claude",), costs=True, plane=("mcp__aegis__",), environment=OWN_VARIABLES)
    settings: type[Profile] = ClaudeProfile
    resumes = True

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[ClaudeSession]:
        """Start Claude Code in the seat; raise `LaunchError` if it does not answer or cannot resume."""
        failure: Exception | None = None
        async with seat.start(command(seat)) as process:
            session = ClaudeSession(seat, process)
            await session.handshake()
            async with trio.open_nursery() as session.asking:
                try:
                    yield session
                except Exception as error:  # noqa: BLE001  # raised below: the nursery would wrap it in a group
                    failure = error
                session.asking.cancel_scope.cancel()
        if failure:
            raise failure

    def probe(self) -> Probe:
        """Say whether `claude` is on PATH and which version it is."""
        path = shutil.which("claude")
        if path is None:
            return Probe(False, proven=PROVEN, hint="install Claude Code: npm install -g @anthropic-ai/claude-code")
        try:
            done = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(False, path=path, proven=PROVEN, hint=f"`claude --version` did not work: {error}")
        found = re.search(r"\d+\.\d+\.\d+", done.stdout.decode(errors="replace"))
        return Probe(True, found[0] if found else "", path, PROVEN)


class ClaudeSession:
    """A live Claude Code."""

    asking: trio.Nursery  # the permission requests that are being answered

    def __init__(self, seat: Seat, process: Process) -> None:
        self._seat, self._process = seat, process
        self._permission: Permission = seat.profile.permission
        self._translator = Translator(resumed=bool(seat.resume))
        self._numbers = count(1)
        self._asked: dict[str, trio.CancelScope] = {}
        self._early: list[Event] = []

    # ---------------------------------------------------------------------------------------------------- starting

    async def handshake(self) -> None:
        """Wait until the CLI answers and holds the permission `read` even against what its settings allow."""
        await self._request("initialize")
        if self._permission == "read":
            effective = mapping((await self._request("get_settings")).get("effective"))
            allowed = items(mapping(effective.get("permissions")).get("allow"))
            stricter = {"permissions": {"ask": allowed}, "sandbox": {"autoAllowBashIfSandboxed": False}}
            await self._request("apply_flag_settings", settings=stricter)

    async def _request(self, subtype: str, **fields: Any) -> dict[str, Any]:
        number = self._number()
        await self._process.write(wire.request(number, subtype, **fields))
        with trio.move_on_after(_START):
            return await self._answer(subtype, number)
        raise LaunchError(f"{self._process.command} has not answered {subtype!r} within {_START:.0f} s")

    async def _answer(self, subtype: str, number: str) -> dict[str, Any]:
        while True:
            answer: dict[str, Any] | None = None
            for line in await self._process.lines():
                message = mapping(value := wire.decode(line))
                response = mapping(message.get("response"))
                if message.get("type") == "control_response":
                    if (whose := response.get("request_id")) != number:  # nothing else was asked: it would be for ever
                        raise LaunchError(f"{self._process.command} answered {whose!r}, which nobody asked")
                    answer = response
                elif message.get("type") == "result":  # before any turn: it says why there will be none
                    errors = [text(error) for error in items(message.get("errors"))]
                    why = f"Claude Code did not start: {'; '.join(errors) or text(message.get('result'))}"
                    raise SessionGone(why) if self._seat.resume else LaunchError(why)
                elif line:
                    self._early += self._translator.events(value)
            if answer is not None:
                if answer.get("subtype") != "success":
                    why = text(answer.get("error")) or "no reason given"
                    raise LaunchError(f"this Claude Code refuses {subtype!r}: {why}; release {PROVEN} is known to work")
                return mapping(answer.get("response"))

    def _number(self) -> str:
        return f"aegis-{next(self._numbers)}"

    # ----------------------------------------------------------------------------------------------------- talking

    async def send(self, prompt: str) -> None:
        """Hand the prompt to the CLI."""
        uuid = str(uuid4())
        # To try a model it is asked something, of which the CLI tells nothing.
        self._translator.begin(uuid, untold=prompt.startswith("/model"))
        await self._process.write(wire.prompt(prompt, uuid))

    async def receive(self) -> Sequence[Event]:
        """Wait for the next events; raise `LaunchError` once the CLI is gone."""
        events, self._early = self._early, []
        while not events:
            for line in await self._process.lines():
                if line:
                    self._hear(wire.decode(line), events)
        return events

    async def interrupt(self) -> None:
        """Ask the turn in flight to stop; one that has not begun is taken back."""
        if self._translator.busy:
            self._translator.interrupt()
            await self._process.write(wire.request(self._number(), "interrupt", cancel_queued=True))

    def _hear(self, message: Any, events: list[Event]) -> None:
        said = self._translator.events(message)
        events += said
        if said:
            return
        kind = mapping(message).get("type")
        if kind == "control_request":  # answered beside the reading, which must go on
            number, request = message.get("request_id"), mapping(message.get("request"))
            self._asked[str(number)] = scope = trio.CancelScope()
            self.asking.start_soon(self._asked_for, number, request, scope)
        elif kind == "control_cancel_request" and (taken_back := self._asked.get(str(message.get("request_id")))):
            taken_back.cancel()

    # ------------------------------------------------------------------------------------------------- permissions

    async def _asked_for(self, number: Any, request: dict[str, Any], scope: trio.CancelScope) -> None:
        answer = wire.unsupported(number, f"aegis does not know the request {request.get('subtype')!r}")
        with scope:
            if why := text(request.get(wire.UNREADABLE)):
                answer = wire.deny(number, why)
            elif request.get("subtype") == "can_use_tool":
                decision = await self._decide(str(number), text(request.get("tool_name")), request)
                why = decision.reason or f"the request to use this tool ended {decision.outcome}"
                answer = wire.allow(number, request.get("input")) if decision.allowed else wire.deny(number, why)
        self._asked.pop(str(number), None)  # two may have come under one number
        if not scope.cancelled_caught:
            with suppress(LaunchError):  # the CLI is gone; `receive` says so with its last words
                await self._process.write(answer)

    async def _decide(self, number: str, tool: str, request: dict[str, Any]) -> Decision:
        given = request.get("input")
        paths = tools.paths(given)
        if (blocked := text(request.get("blocked_path"))) and blocked not in paths:
            paths += (blocked,)
        call = text(request.get("tool_use_id")) or number
        kind = self._kind(tool, paths, text(request.get("decision_reason_type")))
        asked = PermissionRequest(call, tool, kind, tools.title(tool, given), given, paths)
        return await self._seat.ask(asked)

    def _kind(self, tool: str, paths: Sequence[str], reason: str) -> ToolKind:
        """Return what the act is; to `write`, an edit that the CLI finds delicate is no mere edit for us either."""
        kind = tools.kind(tool)
        if kind != "edit" or self._permission != "write":
            return kind
        unclear = reason == _DELICATE or not all(Path(path).is_absolute() for path in paths)  # its folder may change
        return "other" if unclear else kind
