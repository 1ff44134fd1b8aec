"""Keys by their names."""

from __future__ import annotations

import re

_NAMES = {
    "enter": "\r", "tab": "\t", "esc": "\x1b", "space": " ", "backspace": "\x7f", "delete": "\x1b[3~",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "page-up": "\x1b[5~", "page-down": "\x1b[6~",
}  # fmt: skip
_CONTROL = re.compile(r"ctrl-([a-z\[\]\\^_@])\Z")


def pressed(keys: str) -> str:
    """Return what a keyboard sends for these names of keys; if any word is not a name, all of it is text.

    `enter` at the end of a text is the key.
    """
    sent = [_one(word) for word in keys.split(" ")]
    if all(sent):
        return "".join(sent)
    text = keys.removesuffix(" enter")
    return text if text == keys else f"{text}\r"


def _one(word: str) -> str:
    if match := _CONTROL.match(word):
        return chr(ord(match[1].upper()) & 0x1F)
    return _NAMES.get(word, "")


def sendable(text: str, *, nul: bool = False) -> bool:
    """Return whether the text can be sent to a program, as keys (`nul`) or as an argument."""
    return (nul or "\0" not in text) and not any("\ud800" <= c <= "\udfff" for c in text)
