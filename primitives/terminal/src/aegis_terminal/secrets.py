"""Secrets that must reach neither a disk nor an agent: they are cut out of all output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis_patterns.pattern import Pattern
    from aegis_patterns.words import Words

CUT = "[redacted]"
_LONGEST = 500  # characters of a value that is looked for with others at once
_AT_ONCE = 100  # values
_SHORTEST = 8  # characters; a shorter value of a variable is taken for a word
_NAMED = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_BREAKS = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]| \r|\x1b[()][A-Z0-9]")  # colours; what line editors say at the margin
# The beginning of each, in small letters, and its pattern: a pattern is tried only where its beginning is found, and
# all of them are looked for at once, so that output without any, which is most, takes next to no time. A token
# begins where a word begins.
_TOKENS = {
    ("ghp_", "gho_", "ghr_", "ghs_", "ghu_"): r"gh[oprsu]_[A-Za-z0-9]{20,}",
    ("github_pat_",): r"github_pat_[A-Za-z0-9_]{20,}",
    ("glpat-",): r"glpat-[A-Za-z0-9_-]{16,}",
    ("xox",): r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    ("sk-", "sk_", "pk_", "rk_"): r"(?:sk|pk|rk)[-_](?:ant-|proj-|live_|test_)?[A-Za-z0-9_-]{16,}",
    ("npm_", "hf_"): r"(?:npm|hf)_[A-Za-z0-9]{20,}",
    ("akia", "asia"): r"(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    ("aiza",): r"AIza[A-Za-z0-9_-]{30,}",
    ("eyj",): r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
}
_OTHERS = {
    ("-----begin ",): r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    ("bearer", "basic"): r"(?i:\b(?:bearer|basic)\s{1,4})([A-Za-z0-9._~+/=-]{12,})",
    ("password", "passwd", "secret", "token", "api"): (
        r"(?i:(?:password|passwd|secret|token|api[_-]?key)[\"']?\s{0,4}[=:]\s{0,4})([\"']?[^\s\"']{6,})"
    ),
    ("://",): r"://[^\s/:@]{1,64}:([^\s/:@]{3,})@",
}
_DEFAULTS = {
    beginning: re.compile(pattern, re.DOTALL)
    for patterns in ({k: rf"(?<![A-Za-z0-9_-]){p}" for k, p in _TOKENS.items()}, _OTHERS)
    for beginnings, pattern in patterns.items()
    for beginning in beginnings
}


class Secrets:
    """The patterns of this project, as they are now, and the values of variables with names of secrets."""

    def __init__(
        self,
        patterns: Callable[[], Iterable[str]],
        environment: Mapping[str, str],
        known: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`known` gives the values that aegis itself has handed out as secrets."""
        self._patterns, self._known = patterns, known
        self._values = _values(environment)

    def beside(self, environment: Mapping[str, str]) -> Secrets:
        """Return these, with the secrets of this environment in addition."""
        more = copy(self)
        more._values = sorted({*self._values, *_values(environment)}, key=len, reverse=True)  # noqa: SLF001 - our own
        return more

    def cut(self, text: str) -> str:
        """Return the text without them."""
        return self._put(text, lambda a, b: CUT)

    def masked(self, text: str) -> str:
        """Return the text with a star for each of their characters."""
        return self._put(text, lambda a, b: "*" * (b - a))

    def cut_bytes(self, data: bytes) -> bytes:
        """Return the bytes without secrets; everything else stays as it was, whatever its encoding.

        A secret with colours in it, or broken by a line editor, is cut out, too; text beside it then loses its colours.
        """
        lines = self.cut(data.decode("latin-1"))
        if b"\x1b" in data:
            bare = _BREAKS.sub("", lines)
            if self.spans(bare):
                lines = self.cut(bare)
        return lines.encode("latin-1")

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the beginnings and ends of all secrets in the text, in order."""
        data = text.encode("latin-1", "replace")  # a place in it is one in the text
        found = list(self._places(data, text))
        ends: dict[str, int] = {}
        for a, b in _beginnings().places(data):
            beginning = text[a:b].lower()
            if a >= ends.get(beginning, 0) and (match := _DEFAULTS[beginning].match(text, a)):
                found.append(match.span(match.lastindex or 0))
                ends[beginning] = match.end()
        for source in self._patterns():
            found += _pattern(source).spans(text)
        return _merged(found) if found else found

    def _places(self, data: bytes, text: str) -> Iterator[tuple[int, int]]:
        """Yield where the known values are."""
        words, others = _words(tuple(dict.fromkeys((*self._values, *self._known()))))
        for word in words:
            yield from word.places(data)
        for value in others:
            at = text.find(value)
            while at >= 0:
                yield at, at + len(value)
                at = text.find(value, at + len(value))

    def _put(self, text: str, instead: Callable[[int, int], str]) -> str:
        if not (spans := self.spans(text)):
            return text
        parts, done = [], 0
        for a, b in spans:
            parts += [text[done:a], instead(a, b)]
            done = b
        return "".join([*parts, text[done:]])


@cache
def _beginnings() -> Words:
    from aegis_patterns.words import Words  # noqa: PLC0415 - start-up time: only where there is output

    return Words(_DEFAULTS, any_case=True)


@lru_cache(16)
def _words(values: tuple[str, ...]) -> tuple[list[Words], list[str]]:
    """Return these values as words that are looked for at once, and those that are looked for one by one."""
    from aegis_patterns.words import Words  # noqa: PLC0415 - the same

    at_once = [v for v in values if v.isascii() and len(v) <= _LONGEST]
    begun = {v for v in at_once if any(v != other and v.startswith(other) for other in at_once)}
    plain = [v for v in at_once if v not in begun][:_AT_ONCE]
    return [Words(plain)] * bool(plain), [v for v in values if v not in set(plain)]


@lru_cache(256)
def _pattern(source: str) -> Pattern:
    """Return a pattern of the project's as one that takes linear time: output is an agent's, and waits for nothing."""
    from aegis_patterns.pattern import Pattern  # noqa: PLC0415 - only where a project has one

    return Pattern(source)


def _values(environment: Mapping[str, str]) -> list[str]:
    found = {v for name, v in environment.items() if _NAMED.search(name) and len(v) >= _SHORTEST}
    found |= {v.encode().decode("latin-1") for v in found if not v.isascii()}  # as it is in the bytes of a log
    return sorted(found, key=len, reverse=True)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for a, b in sorted(span for span in spans if span[0] < span[1]):
        if merged and a < merged[-1][1]:
            merged[-1] = merged[-1][0], max(b, merged[-1][1])
        else:
            merged.append((a, b))
    return merged
