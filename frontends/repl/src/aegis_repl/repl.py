"""The trio side: watches the kernel, folds what happens, and does what the person asks through verbs."""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, cast

import trio
from prompt_toolkit.input import Input, create_input

from aegis.bus import Batch
from aegis.errors import AegisError, Refused
from aegis.events import Gap, VerbsChanged
from aegis.frontend import Client
from aegis_repl import render
from aegis_repl.keys import Action
from aegis_repl.last_tab import LastTab
from aegis_repl.outbox import Outbox
from aegis_repl.parse import LOCAL, Command, Say, bind, parse
from aegis_repl.permission_requests import Answer
from aegis_repl.screen import FrameOutput, Screen
from aegis_repl.state import State
from aegis_repl.welcome import help_on, welcome

GONE = "aegis has stopped. What it accepted is on disk; `aegis` starts it again."
RECALLED = 20  # lines of the last turn
_PAST = 5.0  # seconds in which an agent's last turn may come; what it says meanwhile waits for that
_LIMIT = 1.0  # seconds the screen has to give the terminal back


class Repl:
    """One person at one terminal, with a client."""

    def __init__(self, client: Client, input: Input | None = None, output: FrameOutput | None = None) -> None:  # noqa: A002
        self._client = client
        self._input = input or create_input(sys.stdin)
        self._output = output or cast("FrameOutput", FrameOutput.from_pty(sys.stdout, os.environ.get("TERM")))
        self._state = State(time.monotonic)
        self._verbs: dict[str, dict[str, Any]] = {}
        self._acts, self._inbox = trio.open_memory_channel[Action](inf)
        self._outbox = Outbox(client, self._state, self._say, self._switch)
        self._stuck = False
        self._exit_message = GONE  # until it is known that something else ended it

    async def run(self) -> int:
        """Serve the person until they quit (0) or the kernel is gone (1); the terminal is then as it was."""
        token = trio.lowlevel.current_trio_token()

        def act(act: Action) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._acts.send_nowait, act)

        self._screen = Screen(act, self._input, self._output)
        with _terminal_kept(self._input, self._output):
            try:
                await self._serve()
            finally:
                self._say_why()
        return 1 if self._exit_message else 0

    def _say_why(self) -> None:
        """Say why this ends, unless the person wanted it to or the terminal takes nothing any more."""
        if self._exit_message and not self._stuck:
            with suppress(OSError):  # the terminal is gone
                self._output.write(self._exit_message + "\n")
                self._output.flush()

    async def _serve(self) -> None:
        """Show the prompt at once; what is typed before it is known who is here is done as soon as that is known."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self._signals)
            nursery.start_soon(self._show_screen)
            early: list[Action] | None = []
            async for act in self._inbox:
                if act.what == "quit":
                    self._exit_message = act.value or ""
                    break
                if act.what == "drawn":  # not before: the prompt waits for nothing
                    nursery.start_soon(self._attend)
                    continue
                if early is not None and act.what != "begun":
                    early.append(act)
                    continue
                for one in early or [] if act.what == "begun" else [act]:
                    try:
                        await self._do(one)
                    except Refused as refusal:
                        self._say(render.refusal(refusal))
                early = None
            nursery.cancel_scope.cancel()

    async def _attend(self) -> None:
        """Learn what there is, show it, and follow what happens until the kernel is gone."""
        why = ""
        try:
            snapshot = await self._client.snapshot()
            async with self._client.watch(snapshot["number"]) as news:  # each change is in one of them
                await self._begin(snapshot)
                self._nursery.start_soon(self._outbox.run)
                self._acts.send_nowait(Action("begun"))
                why = GONE
                await self._follow(news)
        except AegisError as error:
            why = f"{GONE} ({error})" if why else str(error)
        self._acts.send_nowait(Action("quit", why))

    async def _begin(self, snapshot: Mapping[str, Any]) -> None:
        await self._learn()
        self._last_tab = LastTab(Path(str(snapshot["root"])))
        self._state.load(snapshot, active=self._last_tab.load())
        profiles = await self._client.complete("profile")
        self._screen.emit(welcome(snapshot, self._state.view(), profiles))
        self._begin_recall(self._state.active)
        self._screen.show(self._state.view())

    async def _show_screen(self) -> None:
        """Run the screen's thread; when this is cancelled the thread has a moment to give the terminal back."""
        ended, why = trio.Event(), ""

        async def let_go() -> None:
            try:
                await ended.wait()
            finally:
                self._screen.stop()
                limit.deadline = trio.current_time() + _LIMIT

        async with trio.open_nursery() as nursery:
            with trio.CancelScope(shield=True) as limit:
                nursery.start_soon(let_go)
                try:
                    await trio.to_thread.run_sync(self._screen.run, abandon_on_cancel=True, limiter=_one_thread())
                except OSError as error:
                    why = f"the terminal is gone: {error}"
            self._stuck = limit.cancelled_caught
            ended.set()
        self._acts.send_nowait(Action("quit", why))

    async def _signals(self, task_status: trio.TaskStatus[None]) -> None:
        """Hear what the thread cannot: a resize, and a Ctrl+C of the moment in which a frame is printed."""
        if threading.current_thread() is not threading.main_thread():
            return task_status.started()
        with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                (self._screen.redraw if number == signal.SIGWINCH else self._screen.interrupted)()

    # -- what happens -------------------------------------------------------------------------------------------

    async def _follow(self, news: AsyncIterator[list[Batch]]) -> None:
        async for batches in news:
            for batch in batches:
                lines, ring = self._state.fold(batch)
                if lines or ring:
                    self._screen.emit(lines, ring=ring)
                if any(isinstance(event, VerbsChanged) for event in batch.events):
                    await self._learn()
                if any(isinstance(event, Gap) for event in batch.events):
                    self._screen.emit(self._state.refresh(await self._client.snapshot()))
            self._screen.show(self._state.view())

    async def _learn(self) -> None:
        self._verbs = {verb["name"]: verb for verb in await self._client.verbs()}
        self._screen.verbs = list(self._verbs.values())

    def _say(self, lines: list[render.Line]) -> None:
        self._screen.emit(self._state.note(lines))
        self._screen.show(self._state.view())

    # -- what the person does -----------------------------------------------------------------------------------

    async def _do(self, act: Action) -> None:
        match act:
            case Action("line", text):
                self._line(text)
            case Action("go", number):
                self._switch(self._state.find(str(number)))
            case Action("step", step):
                self._switch(self._state.beside(step))
            case Action("new"):
                self._new()
            case Action("close"):
                self._ask_close()
            case Action("yes"):
                await self._close()
            case Action("no"):
                self._state.closing = ""
            case Action("interrupt"):
                self._interrupt()
            case Action("hint", text):
                self._say([[("class:dim", f"· {text}")]])
            case Action("values", (number, what)):
                self._nursery.start_soon(self._complete, number, what)
        self._screen.show(self._state.view())

    def _line(self, text: str) -> None:
        if answer := self._state.answer(text):
            self._nursery.start_soon(self._answer, self._state.active, answer)
            return
        match parse(text, list(self._verbs)):
            case Say(said, handle):
                self._outbox.put(said, handle)
            case Command("quit", _):
                self._acts.send_nowait(Action("quit"))
            case Command("help", rest):
                width = self._output.get_size().columns
                self._say(help_on(rest, list(self._verbs.values()), width))
            case Command("tab", rest):
                self._tab(rest)
            case Command(name, rest):
                self._call(name, rest, quiet=name == "spawn", follow=name == "spawn")

    async def _answer(self, agent_id: str, answer: Answer) -> None:
        """Answer what an agent asks; what is not taken is asked again."""
        if not await self._run(answer.verb, answer.args, quiet="always" not in answer.args):
            self._state.again(agent_id, answer.call)
            self._screen.show(self._state.view())

    def _tab(self, word: str) -> None:
        if not word:
            for f in self._state.view().tabs:
                self._say([[("", f"{'▸' if f.active else ' '} {f.number} {f.handle} ·{f.profile}· {f.state}")]])
        elif found := self._state.find(word):
            self._switch(found)
        else:
            names = ", ".join(f"{f.number} {f.handle}" for f in self._state.view().tabs)
            raise Refused(f"there is no tab {word!r} (there are: {names or 'none'})")

    def _switch(self, agent_id: str) -> None:
        if not agent_id:
            return
        rows = self._output.get_size().rows
        self._screen.emit(self._state.switch(agent_id, recent=max(4, rows // 2)))
        self._last_tab.keep(self._state.active)
        self._begin_recall(agent_id)

    def _begin_recall(self, agent_id: str) -> None:
        """Show the last turn of an agent that was at work before this screen was, as soon as that is read."""
        if tab := self._state.begin_recall(agent_id):
            self._nursery.start_soon(self._recall, agent_id, tab.handle)

    async def _recall(self, agent_id: str, handle: str) -> None:
        lines: list[render.Line] = []
        with suppress(AegisError), trio.move_on_after(_PAST):
            lines = render.recalled(str(await self._client.call("read", {"handle": handle})), RECALLED)
        self._screen.emit(self._state.end_recall(agent_id, lines))

    def _new(self) -> None:
        self._call("spawn", "", quiet=True, follow=True)

    def _ask_close(self) -> None:
        if not self._state.tabs:
            self._acts.send_nowait(Action("quit"))
        self._state.closing = self._state.active

    async def _close(self) -> None:
        tab, self._state.closing = self._state.tabs.get(self._state.closing), ""
        if tab is None:
            return
        if len(self._state.tabs) > 1:
            self._call("close", tab.handle, quiet=True)
        elif await self._run("close", tab.handle, quiet=True):
            self._acts.send_nowait(Action("quit"))

    def _interrupt(self) -> None:
        tab = self._state.tabs.get(self._state.active)
        if tab and tab.agent["state"] == "working":
            self._say([[("class:dim", "· stopping…")]])
            self._call("interrupt", tab.handle, quiet=True)

    def _call(self, verb: str, rest: str, *, quiet: bool = False, follow: bool = False) -> None:
        """Begin a verb in a task of its own: a long one keeps nobody from typing."""
        self._nursery.start_soon(lambda: self._run(verb, rest, quiet=quiet, follow=follow))

    async def _run(
        self, name: str, rest: str | Mapping[str, Any], *, quiet: bool = False, follow: bool = False
    ) -> bool:
        try:
            verb = self._verbs.get(name)
            # A verb that is not there is asked for all the same: the kernel says best what is missing.
            args = rest if not isinstance(rest, str) else bind(verb, rest) if verb else {}
            value, text = await self._client.perform(name, args, self._hear)
        except Exception as error:  # noqa: BLE001  a verb's fault is its answer, never the end of the screen
            self._say(render.refusal(error))
            return False
        if not quiet:
            shown = render.answer(value if text is None else text, self._output.get_size().columns)
            self._say(shown)
        if follow and isinstance(value, dict):
            self._switch(str(value.get("id", "")))
        self._screen.show(self._state.view())
        return True

    def _hear(self, progress: str) -> None:
        """Show how a verb that takes its time is getting on."""
        self._say([[("class:dim", f"  {line}")] for line in render.clean(progress).splitlines()])

    async def _complete(self, number: int, what: str) -> None:
        values: list[str] = []
        with suppress(AegisError):
            values = await self._client.complete(what)
        self._screen.offer(number, values)


def _one_thread() -> trio.CapacityLimiter:
    """Return a limiter of the screen's own: it lives as long as the screen and takes no place from short work."""
    return trio.CapacityLimiter(1)


@contextmanager
def _terminal_kept(input: Input, output: FrameOutput) -> Iterator[None]:  # noqa: A002
    """Leave the terminal as it was found, even when the screen's thread died or hangs in a write."""
    try:
        fd = input.fileno()
        before = termios.tcgetattr(fd)
    except (termios.error, NotImplementedError, OSError, ValueError):  # a pipe, in tests
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)


__all__ = ["GONE", "LOCAL", "Repl"]
