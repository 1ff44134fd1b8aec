"""One agent's transcript as it grows: chunks of a message become lines, a result stands by its tool."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from aegis import events as e
from aegis_repl import render
from aegis_repl.render import LONGEST, Line

KEPT = 400  # lines of a tab that are shown again when it is switched to, at most


class Transcript:
    """Takes events, gives lines that are complete; `live` is the line that is still being said."""

    def __init__(self, me: str = "") -> None:
        self.recent: deque[Line] = deque(maxlen=KEPT)
        self._me = me
        self._run: e.Text | e.Thought | None = None
        self._rest = ""
        self._last = ""  # what kind of block the last line belongs to
        self._tools: dict[str, str] = {}
        self._tool = ""

    @property
    def live(self) -> Line:
        """The line that is being said now, empty when none is."""
        return render.speech(self._run, self._rest) if self._run and self._rest else []

    def add(self, events: Sequence[e.Event]) -> list[Line]:
        """Return the lines that the events complete."""
        lines: list[Line] = []
        for event in events:
            if isinstance(event, e.Text | e.Thought):
                lines += self._speak(event)
            elif shown := self._show(event):
                lines += self._close()
                lines += shown
        self.recent.extend(lines)
        return lines

    def note(self, lines: list[Line]) -> list[Line]:
        """Return lines of somebody else's, to stand here too."""
        lines = [*self._close(), *lines]
        self._last = "note"
        self.recent.extend(lines)
        return lines

    def _speak(self, chunk: e.Text | e.Thought) -> list[Line]:
        lines: list[Line] = []
        run = self._run
        if run is None or (type(run), run.message_id, run.parent) != (type(chunk), chunk.message_id, chunk.parent):
            if not chunk.text.strip("\n"):
                return []  # an empty chunk begins nothing
            lines += self._close()
            lines += self._gap(type(chunk).__name__ + chunk.parent)
            self._run = run = chunk
            chunk = type(chunk)(chunk.text.lstrip("\n"), chunk.message_id, chunk.parent)
        *whole, self._rest = (self._rest + chunk.text).split("\n")
        while len(self._rest) > LONGEST:
            whole.append(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        for line in whole:
            pieces = [line[i : i + LONGEST] for i in range(0, len(line), LONGEST)] or [""]
            lines += [render.speech(run, piece) for piece in pieces]
        return lines

    def _close(self) -> list[Line]:
        """End the run of chunks; the line that was being said is complete."""
        line = self.live
        self._run, self._rest = None, ""
        return [line] if line else []

    def _gap(self, kind: str) -> list[Line]:
        """Return the empty line before a block of another kind than the last."""
        last, self._last = self._last, kind
        return [] if not last or (last == kind and kind not in ("mail", "plan")) else [[]]

    def _show(self, event: e.Event) -> list[Line]:
        match event:
            case e.Delivered():
                return [*self._gap("mail"), *render.delivered(event, self._me)]
            case e.ToolCall():
                lines = render.event(event)
                self._tools[event.id] = lines[0][-1][1]
                self._tool = event.id
                return [*self._gap("tool" + event.parent), *lines]
            case e.ToolResult():
                return [*self._gap("tool" + event.parent), *self._whose(event), *render.event(event)]
            case e.TurnEnded():
                self._tools.clear()
                self._last = "end"
                return render.event(event)
        lines = render.event(event)
        return [*self._gap("plan" if isinstance(event, e.Plan) else "note"), *lines] if lines else []

    def _whose(self, result: e.ToolResult) -> list[Line]:
        """Return the tool's line once more when another's stands between it and its result."""
        title = self._tools.pop(result.id, "")
        if title and result.id != self._tool:
            self._tool = result.id
            return [[("class:dim", ("  │ " if result.parent else "") + title)]]
        return []
