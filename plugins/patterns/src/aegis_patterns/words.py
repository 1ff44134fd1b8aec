"""Some words, looked for all at once: one pass over the bytes, however many words there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import re2  # type: ignore[import-untyped]


class Words:
    """Finds ASCII words in bytes; none may begin with another one."""

    def __init__(self, words: Iterable[str], *, any_case: bool = False) -> None:
        options = re2.Options()
        options.log_errors, options.case_sensitive = False, not any_case
        options.encoding = re2.Options.Encoding.LATIN1
        self._size = len(words := list(words))
        self._compiled = re2.compile(b"|".join(re2.escape(word.encode("ascii")) for word in words), options)

    def places(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each word that is there begins and ends, in order, also one within another."""
        at = 0
        while self._size and (match := self._compiled.search(data, at)):
            yield match.span()
            at = match.start() + 1
