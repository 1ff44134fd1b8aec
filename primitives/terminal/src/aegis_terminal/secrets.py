"""What must reach neither a disk nor an agent, and is cut out of everything that is said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

CUT = "[redacted]"
_SHORTEST = 8  # characters of a variable's value that is a secret and no word
_NAMED = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_AT = r"(?<![A-Za-z0-9_-])"  # a token begins where a word does: long words are looked at once
_DEFAULTS = (
    rf"{_AT}gh[oprsu]_[A-Za-z0-9]{{20,}}",
    rf"{_AT}github_pat_[A-Za-z0-9_]{{20,}}",
    rf"{_AT}glpat-[A-Za-z0-9_-]{{16,}}",
    rf"{_AT}xox[abeprs]-[A-Za-z0-9-]{{10,}}",
    rf"{_AT}(?:sk|pk|rk)[-_](?:ant-|proj-|live_|test_)?[A-Za-z0-9_-]{{16,}}",
    rf"{_AT}(?:npm|hf)_[A-Za-z0-9]{{20,}}",
    rf"{_AT}(?:AKIA|ASIA)[A-Z0-9]{{16}}\b",
    rf"{_AT}AIza[A-Za-z0-9_-]{{30,}}",
    rf"{_AT}eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]*",
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    r"(?i:\b(?:bearer|basic)\s{1,4})([A-Za-z0-9._~+/=-]{12,})",
    r"(?i:(?:password|passwd|secret|token|api[_-]?key)[\"']?\s{0,4}[=:]\s{0,4})([\"']?[^\s\"']{6,})",
    r"://[^\s/:@]{1,64}:([^\s/:@]{3,})@",
)
# One of these is in every text that one of the patterns above can match: most output has none, and is not looked at.
_HINTS = (
    "gh", "glpat", "xox", "sk", "pk", "rk", "npm_", "hf_", "akia", "asia", "aiza", "eyj", "-----begin", "bearer",
    "basic", "passw", "secret", "token", "api", "://",
)  # fmt: skip


class Secrets:
    """The patterns of this project, and the values of variables whose names say that they are secret."""

    def __init__(self, patterns: Iterable[str], environment: Mapping[str, str]) -> None:
        self._default = re.compile("|".join(f"(?:{p})" for p in _DEFAULTS), re.DOTALL)
        self._own = [re.compile(p) for p in patterns]
        self.values = sorted(
            {v for name, v in environment.items() if _NAMED.search(name) and len(v) >= _SHORTEST},
            key=len, reverse=True,
        )  # fmt: skip

    def cut(self, text: str) -> str:
        """Return the text without them."""
        for value in self.values:
            if value in text:
                text = text.replace(value, CUT)
        low = text.lower()
        if any(hint in low for hint in _HINTS):
            text = self._default.sub(_kept, text)
        for pattern in self._own:
            text = pattern.sub(_kept, text)
        return text

    def cut_bytes(self, data: bytes) -> bytes:
        """Return the bytes without them; what is no secret stays as it was, whatever its encoding."""
        return self.cut(data.decode("latin-1")).encode("latin-1", errors="replace")


def _kept(match: re.Match[str]) -> str:
    """Return what stays of a match: all but its group, if it has one."""
    if not match.lastindex:
        return CUT
    a, b = match.span(match.lastindex)
    return match[0][: a - match.start()] + CUT + match[0][b - match.start() :]
