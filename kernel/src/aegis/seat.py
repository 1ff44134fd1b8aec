"""Seating an agent: what every plugin wants it to have, its process, its permission requests, its session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from aegis.driver import Decision, Permission, PermissionRequest, Seat, Session, info_of
from aegis.errors import LaunchError, Refused
from aegis.events import Background, PermissionAnswered, PermissionAsked, SessionStarted, Text, Thought
from aegis_permission.permission import ours, presume
from aegis_processes.cancellation import finish_despite_cancel
from aegis_processes.processes import MARK, Command, Process, running
from aegis_redactor.seam import Seam

if TYPE_CHECKING:
    from aegis.agent import Agent

OPENING = 90.0  # seconds a CLI has to come up; one that may not be resumed within a minute of its start needs 65
GOVERNED = Decision("allowed", "the verbs of aegis are governed by the profile's `verbs`")
_SECRET = "${secret:"
_opening = trio.CapacityLimiter(8)  # CLIs that may start at the same time


@asynccontextmanager
async def seated(agent: Agent, opening: trio.CancelScope) -> AsyncIterator[Session]:
    """Enter the agent's session, or cancel `opening`; leaving it, by any exit, leaves no process."""
    kernel, profile = agent.kernel, agent.profile
    folder = await trio.to_thread.run_sync(kernel.project.private, "seats", agent.id)
    agent.seat = seat = Seat(
        agent.id, agent.handle, profile, (kernel.project.root / (profile.cwd or ".")).resolve(), folder,
        partial(_start, agent), partial(_ask, agent), agent.resume, primer=[profile.prompt] if profile.prompt else [],
        env=kernel.environment.bare() | profile.env | {MARK: agent.id, "AEGIS_HANDLE": agent.handle},
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_ended, agent, seat)
        await kernel.interceptors.tell("before_open", seat)
        for name, value in profile.env.items():
            if _SECRET in value and seat.env.get(name) == value:
                raise Refused(f"{name} needs a secret, and no plugin here looks it up (aegis-environment would)")
        async with _opening:
            opening.deadline = trio.current_time() + OPENING  # the time in the queue is not the CLI's
            session = await stack.enter_async_context(agent.driver.open(seat))
        yield session


async def _ended(agent: Agent, seat: Seat) -> None:
    async with finish_despite_cancel():
        await agent.kernel.interceptors.tell("session_ended", seat)


@asynccontextmanager
async def _start(agent: Agent, command: Command) -> AsyncIterator[Process]:
    assert agent.seat
    command = await agent.kernel.interceptors.launch(agent.seat, command)
    async with running(command, agent.kernel.base, LaunchError) as process:
        yield process


async def _ask(agent: Agent, wish: PermissionRequest) -> Decision:
    assert agent.seat
    if governed(wish, info_of(agent.driver).plane, agent.kernel.verbs.tools):
        return GOVERNED
    wish = replace(wish, id=str(next(agent.kernel.roster.numbers)))  # a CLI may use its own ids twice
    redactor = agent.kernel.redactor  # the driver knows the real input
    wish = replace(wish, title=redactor.text(wish.title), input=redactor.data(wish.input))
    wish = prejudged(wish, agent.seat.profile.permission, agent.seat.cwd)
    if wish.presumed:  # nobody is asked
        return await agent.kernel.interceptors.permission(agent.seat, wish)
    asked = agent.asking[wish.id] = PermissionAsked(wish.id, wish.tool, wish.kind, wish.title, wish.input)
    agent.kernel.bus.publish(agent.id, asked)
    decision = Decision("cancelled", "the turn ended first")
    try:
        decision = await agent.kernel.interceptors.permission(agent.seat, wish)
    finally:
        del agent.asking[wish.id]
        agent.kernel.bus.publish(agent.id, PermissionAnswered(wish.id, decision.outcome, decision.reason))
    return decision


def governed(wish: PermissionRequest, prefixes: Iterable[str], tools: Container[str]) -> bool:
    """Return whether it asks for a tool of the plane. A shell command of such a name is never of kind `other`."""
    return wish.kind == "other" and not wish.verb and ours(wish.tool, prefixes, tools)


def prejudged(wish: PermissionRequest, mode: Permission, folder: Path) -> PermissionRequest:
    """Return the request with what the mode says of it; a verb of aegis that asks is not allowed by any mode."""
    kind, answer = presume(mode, wish.tool, wish.kind, wish.paths, folder)
    said = wish.presumed or (Decision(*answer) if answer else None)
    return replace(wish, kind=kind, presumed=None if said and said.allowed and wish.verb else said)


async def listen(agent: Agent, session: Session) -> None:
    """Publish what the CLI says, and let the agent and its turn know, until cancelled."""
    seam = Seam(agent.kernel.redactor, (Text, Thought))
    while True:
        events = agent.kernel.redactor.events(seam.joined(await session.receive()))
        if turn := agent.turn:
            fresh, events = not turn.begun.is_set(), turn.hear(events)
            if fresh and turn.begun.is_set():
                agent.kernel.post.taken(turn.letters, turn.id)
        for event in events:
            if type(event) is SessionStarted:
                await agent.remember(event.session_id)
            elif type(event) is Background:
                agent.expect("background", "; ".join(event.tasks))
        agent.kernel.bus.publish(agent.id, *events)
        await agent.kernel.bus.room()
