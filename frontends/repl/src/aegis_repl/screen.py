"""The terminal: prompt_toolkit in a thread with a loop of its own, drawing whole frames at most ten times a second.

Everything public may be called from any thread; `run` is the thread.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session, in_terminal
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from aegis_processes.imports import foreground
from aegis_repl import bars
from aegis_repl.completer import VerbCompleter
from aegis_repl.keys import Action, bindings
from aegis_repl.render import Line, clipped
from aegis_repl.state import View
from aegis_repl.styles import STYLES

FRAME = 0.1  # seconds between frames
MOST = 1_000  # lines of one frame; a terminal shows no more, and nobody reads them
MENU = 6  # rows of the completion menu
TWICE = 2.0  # seconds in which a second Ctrl+C quits


class FrameOutput(Vt100_Output):
    """One write for each frame, inside a synchronized update; `in_terminal` needs no answer from the terminal."""

    _hold = 0

    def get_rows_below_cursor_position(self) -> int:
        """Say that one row is free, so that the terminal is never asked where the cursor is."""
        return 1

    def flush(self) -> None:
        """Write what was drawn, unless a frame is being held together."""
        if not self._hold:
            super().flush()

    def __enter__(self) -> FrameOutput:
        self._hold += 1
        self.write_raw("\x1b[?2026h")
        return self

    def __exit__(self, *exc: object) -> None:
        self.write_raw("\x1b[?2026l")
        self._hold -= 1
        self.flush()


class Screen:
    """Shows lines and a view; tells `act` what the person did."""

    def __init__(self, act: Callable[[Action], None], input: Input, output: FrameOutput) -> None:  # noqa: A002
        self.view = View(known=False)
        self.verbs: Sequence[Mapping[str, Any]] = ()
        self._act, self._input, self._output = act, input, output
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=MOST)
        self._skipped, self._ring, self._left = 0, False, False
        self._wake, self._resized = asyncio.Event(), asyncio.Event()  # of the thread's loop, once that waits for them
        self._loop: asyncio.AbstractEventLoop | None = None
        self._style = Style.from_dict(STYLES)
        self._draft, self._rows = "", 0
        self._last_interrupt = 0.0
        self._asked: dict[int, asyncio.Future[list[str]]] = {}
        self._numbers = count()

    # -- from any thread ----------------------------------------------------------------------------------------

    def emit(self, lines: Sequence[Line], *, ring: bool = False) -> None:
        """Print the lines above the prompt in the next frame; in a flood the oldest are left out and counted."""
        with self._lock:
            self._skipped += max(0, len(self._lines) + len(lines) - MOST)
            self._lines.extend(lines)
            self._ring = self._ring or ring
        self._wake_up()

    def show(self, view: View) -> None:
        """Draw this around the prompt from the next frame on."""
        if view != self.view:
            self.view = view
            self._wake_up()

    def stop(self) -> None:
        """End `run` soon; what was emitted is still printed and the terminal is as it was."""
        self._left = True
        self._soon(self._exit)

    def redraw(self) -> None:
        """Draw everything again, because the terminal has another size now."""
        self._soon(self._resized.set)

    def interrupted(self) -> None:
        """Take a Ctrl+C that came as a signal."""
        self._soon(self.clear_or_quit)

    def offer(self, number: int, values: list[str]) -> None:
        """Answer `Action("values", …)` of this number."""

        def answer() -> None:
            future = self._asked.pop(number, None)
            if future and not future.done():
                future.set_result(values)

        self._soon(answer)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop:
            with suppress(RuntimeError):  # the loop is closed: the person has quit
                self._loop.call_soon_threadsafe(call)

    def _wake_up(self) -> None:
        self._soon(self._wake.set)

    # -- the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve the person until they quit or `stop` is called."""
        asyncio.run(self._main())

    def stash(self) -> None:
        """Put the half-typed line aside; it is back when the next line has been entered."""
        self._draft = self._session.default_buffer.text

    def clear_or_quit(self) -> None:
        """Clear the line; when it is empty, the second of two calls quits."""
        buffer, now = self._session.default_buffer, time.monotonic()
        if buffer.text:
            buffer.reset()
            self._last_interrupt = 0.0
        elif now - self._last_interrupt < TWICE:
            self._act(Action("quit"))
        else:
            self._last_interrupt = now
            self._act(Action("hint", "Ctrl+C once more quits; Esc stops the agent's turn"))

    async def _main(self) -> None:
        drawn = asyncio.Event()
        with create_app_session(input=self._input, output=self._output):
            self._session = self._prompt()
            self._session.app.after_render += lambda _: drawn.set()
            self._loop = asyncio.get_running_loop()
            printer = asyncio.create_task(self._printer(drawn))
            resizer = asyncio.create_task(self._resizer())
            reader = asyncio.create_task(self._read())
            tasks = (printer, resizer, reader)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._left = True
            if not reader.done():  # drawing failed: the prompt gives the terminal back before the error is raised
                self._exit()
            for task in (printer, resizer):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop = None
            self._print()
            for task in done:
                task.result()

    def _prompt(self) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            input=self._input,
            output=self._output,
            style=self._style,
            key_bindings=bindings(self, self._act),
            completer=VerbCompleter(lambda: self.verbs, self._values),
            complete_while_typing=True,
            reserve_space_for_menu=0,
            erase_when_done=True,
            bottom_toolbar=self._toolbar,
        )
        session.app.ttimeoutlen = 0.05  # a lone Esc is one after this; Alt+1 comes in one piece
        session.app.timeoutlen = 0.1
        session.app.terminal_size_polling_interval = None  # the trio side hears SIGWINCH and calls `redraw`

        session.app.before_render += lambda _: self._make_room(session)
        return session

    def _make_room(self, session: PromptSession[str]) -> None:
        """Leave rows for the menu only where there is one; when less is drawn than before, draw all of it again."""
        session.reserve_space_for_menu = MENU if session.default_buffer.text.startswith(("/", "@")) else 0
        rows = session.reserve_space_for_menu + sum(part[1].count("\n") for part in self._above())
        if rows < self._rows:
            self._resized.set()
        self._rows = rows

    async def _read(self) -> None:
        while not self._left:
            draft, self._draft = self._draft, ""
            try:
                line = await self._session.prompt_async(
                    self._above, default=draft, handle_sigint=False, set_exception_handler=False
                )
            except EOFError:  # `stop`, or the terminal is gone
                return
            except KeyboardInterrupt:
                self.clear_or_quit()
                continue
            if wrong := _undecoded(line):
                self._draft = wrong  # the line stays, with a mark where the bytes were
                self._act(Action("hint", "the line has bytes that are not UTF-8 (�): mend it and press Enter again"))
                continue
            self._act(Action("line", line))

    async def _printer(self, drawn: asyncio.Event) -> None:
        await drawn.wait()  # printing before the first prompt leaves one stale row of it in the scrollback
        self._act(Action("drawn"))
        self._wake.set()
        while True:
            tab = self.view.active
            ticks = tab is not None and tab.since is not None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 1.0 if ticks else None)
            self._wake.clear()
            if self._lines or self._ring:
                with self._output:
                    async with in_terminal():
                        self._print()
                foreground.is_there()
            else:
                self._session.app.invalidate()
            await asyncio.sleep(FRAME)

    async def _resizer(self) -> None:
        while True:
            await self._resized.wait()
            self._resized.clear()
            with self._output:
                async with in_terminal():
                    pass

    def _print(self) -> None:
        with self._lock:
            lines, skipped, ring = list(self._lines), self._skipped, self._ring
            self._lines.clear()
            self._skipped, self._ring = 0, False
        if skipped:
            lines.insert(0, [("class:warning", f"… {skipped:,} lines went by too fast to be shown")])
        if ring:
            self._output.bell()
        if lines:
            width = self._output.get_size().columns
            text = FormattedText(part for line in lines for part in (*_kept_short(line, width), ("", "\n")))
            print_formatted_text(self._output, text, self._style, color_depth=self._session.app.color_depth)

    def _exit(self) -> None:
        app = self._session.app
        if app.is_running and app.future and not app.future.done():
            app.exit(exception=EOFError())

    async def _values(self, what: str) -> list[str]:
        """Return what the kernel completes, nothing when it takes longer than a person waits."""
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._act(Action("values", (number, what)))
        try:
            return await asyncio.wait_for(future, 2.0)
        except TimeoutError:
            return []
        finally:
            self._asked.pop(number, None)

    def _above(self) -> FormattedText:
        return FormattedText(bars.above_prompt(self.view, self._output.get_size().columns, time.monotonic()))

    def _toolbar(self) -> FormattedText:
        width = self._output.get_size().columns
        parts = (bars.tabs(self.view, width), [("", "\n")], bars.status(self.view, width, time.monotonic()))
        return FormattedText(chain.from_iterable(parts))


def _kept_short(line: Line, width: int) -> Line:
    """Return the line; of one that only names a tool, as much as fits: what it was about is in the transcript."""
    return clipped(line, width) if line and line[-1][0] == "class:tool" else line


def _undecoded(line: str) -> str:
    """Return the line with a mark for each byte that the terminal sent and that is no UTF-8; "" without any."""
    marked = re.sub("[\ud800-\udfff]", "\ufffd", line)
    return "" if marked == line else marked
