"""A regular expression in a linear engine: whatever it says, searching a text takes a time that is known before."""

from __future__ import annotations

import re2  # type: ignore[import-untyped]
import trio

LONGEST = 1_000  # characters of a pattern
_MEMORY = 2**20  # bytes that the engine may use for one pattern
_AT_ONCE = 2_000_000  # steps that take some 15 ms at worst: fewer are taken where one is, more in a thread
_PLACES = 1_000  # of a pattern in one text
_MOST = 130_000_000  # steps that take a second at worst


class PatternError(ValueError):
    """The text is no pattern, or the pattern cannot be judged on this text; the message is a sentence."""


class Pattern:
    """A pattern in RE2's syntax: that of `re`, without look-around and back references."""

    def __init__(self, source: str, *, longest: int = LONGEST) -> None:
        """Compile the pattern; raises `PatternError`."""
        if len(source) > longest:
            raise PatternError(f"a pattern has at most {longest:,} characters, and this one has {len(source):,}")
        options = re2.Options()
        options.log_errors, options.max_mem = False, _MEMORY * max(1, longest // LONGEST)
        try:
            self._compiled = re2.compile(source.encode(), options)
        except re2.error as error:
            raise PatternError(_said(error)) from None
        except UnicodeEncodeError:
            raise PatternError("it has half a surrogate pair, which is no character") from None
        self.source, self._steps = source, self._compiled.programsize

    async def found_in(self, text: str) -> bool:
        """Return whether the pattern is in the text; raises `PatternError` when that could take more than a second."""
        data = text.encode(errors="replace")
        steps = len(data) * self._steps
        if steps > _MOST:
            raise PatternError(
                f"it may take more than a second to search {len(data):,} bytes for a pattern of {self._steps:,} steps; "
                f"{_MOST // self._steps:,} bytes are searched at most"
            )
        if steps > _AT_ONCE:  # the engine lets other threads run
            return await trio.to_thread.run_sync(self.found, data, abandon_on_cancel=True)
        return self.found(data)

    def found(self, data: bytes) -> bool:
        """Return whether the pattern is in these bytes of UTF-8, however long that takes."""
        return self._compiled.search(data) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where the pattern is in the text, in order: of each place the last group that took part, or all of it.

        There are some thousand places at most: from the one after these on, all that is left of the text is the last.
        """
        data = text.encode(errors="replace")
        most = max(_PLACES, _MOST // (len(data) + 1))  # to look for the next may take the whole rest of the text
        found: list[tuple[int, int]] = []
        for match in self._compiled.finditer(data):
            if len(found) == most:
                found.append((match.start(), len(data)))
                break
            found.append(match.span(match.lastindex or 0))
        return found if len(data) == len(text) else _characters(data, found)


def _characters(data: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans, which are in order, as they are counted in characters."""
    found, byte, character = [], 0, 0
    for a, b in spans:
        begin = character + len(data[byte:a].decode(errors="replace"))
        byte, character = b, begin + len(data[a:b].decode(errors="replace"))
        found.append((begin, character))
    return found


def _said(error: re2.error) -> str:
    [said, *_] = error.args or ("it is no pattern",)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    more = " (look-around and back references are not possible)" if "(?" in text or "escape" in text else ""
    return f"{text}{more}"
