"""The output of a terminal, for all that use it: the log, the latest bytes, the screen, and viewers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from aegis_terminal.raw_log import RawLog

if TYPE_CHECKING:
    from aegis_terminal.emulator import Emulator, Look

SIZE = (24, 80)  # rows and columns while nobody is attached
_RECENT = 65_536  # bytes of the latest output, for those who come later


class Display:
    """The output of one terminal; `resized` is called with the size that it should have."""

    def __init__(self, log: RawLog, resized: Callable[[int, int], None]) -> None:
        self._log, self._resized = log, resized
        self.viewers: set[Callable[[bytes], None]] = set()
        self._sizes: dict[object, tuple[int, int]] = {}
        self._recent = deque[bytes]()
        self._kept, self._cut = 0, False
        self._screen: Emulator | None = None
        self._looking = trio.Lock()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the terminal that was attached last."""
        return next(reversed(self._sizes.values()), SIZE)

    def show(self, data: bytes) -> None:
        """Take new output."""
        self._log.write(data)
        if self._screen:
            self._screen.feed(data)
        self._recent.append(data)
        self._kept += len(data)
        while self._kept - len(self._recent[0]) >= _RECENT:
            self._kept -= len(self._recent.popleft())
            self._cut = True
        for tell in tuple(self.viewers):
            tell(data)

    @property
    def recent(self) -> bytes:
        """The latest output, as whole lines where there are any."""
        data = b"".join(self._recent)
        return data[data.find(b"\n") + 1 :] if self._cut else data

    def resize_for(self, who: object, rows: int, columns: int) -> None:
        """Give the shared terminal the size of this attached one."""
        self._sizes.pop(who, None)
        self._sizes[who] = max(1, rows), max(1, columns)
        self._resized(*self.size)

    def forget(self, who: object) -> None:
        """Forget an attached terminal, and go back to the size of the one before."""
        if self._sizes.pop(who, None):
            self._resized(*self.size)

    async def look(self) -> Look:
        """Return the screen as a person would see it."""
        async with self._looking:
            if self._screen is None:
                from aegis_terminal.emulator import Emulator  # noqa: PLC0415 - few terminals are ever looked at

                self._screen = Emulator(*self.size)
                self._screen.feed(self.recent)
            self._screen.resize(*self.size)
            return await trio.to_thread.run_sync(self._screen.look, self._screen.pending())

    def close(self) -> None:
        """Tell all viewers that the output has ended."""
        self._log.close()
        for tell in tuple(self.viewers):
            tell(b"")
