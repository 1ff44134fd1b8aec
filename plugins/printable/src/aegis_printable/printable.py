"""Text as a screen may show it: a character that is not seen, or reads as another, is shown as an escape.

Escaped are control characters, what turns the direction of writing, what has no width, tags, fillers that look like a
space or like nothing, lone surrogates, and piles of combining marks (Unicode: Default_Ignorable_Code_Point, UTS 39).
Joiners and variation selectors stay inside an emoji, which they make. Letters that look like other letters stay.
"""

from __future__ import annotations

import json
import re
import unicodedata

_HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SPACES = r"\xa0\u1680\u2000-\u200a\u202f\u205f"  # each reads as the space it is not; U+3000 is a space, but a wide one
_MARKS = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE = rf"(?<={_MARKS}{{4}}){_MARKS}+"  # more marks on one letter than any language has cover the lines around it
_TEXT = re.compile(rf"[{_HIDDEN}]|{_PILE}")
_LINE = re.compile(rf"[{_HIDDEN}{_SPACES}\n\t]|{_PILE}|\A{_MARKS}")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_JOINER, _SELECTORS = "\u200d", "\ufe0e\ufe0f"


def printable(text: str) -> str:
    """Return a text of several lines in which every character is seen as what it is; tabs and line ends stay."""
    return _TEXT.sub(_escaped, text.replace("\r\n", "\n"))


def printable_line(text: str) -> str:
    """Return the text as one line in which every character is seen as what it is; line ends are shown as `\\n`."""
    return _LINE.sub(_escaped, text)


def deceptive(text: str) -> bool:
    """Return whether the text has characters that a screen would not show, or would show as others."""
    return printable(text) != text.replace("\r\n", "\n")


def printable_json(text: str) -> str:
    """Return the JSON with such characters as JSON's own escapes: a parser reads the same, a screen shows them."""
    return _TEXT.sub(lambda found: _emoji(found) or "".join(json.dumps(c)[1:-1] for c in found[0]), text)


def _escaped(found: re.Match[str]) -> str:
    return _emoji(found) or "".join(map(_escape, found[0]))


def _escape(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _emoji(found: re.Match[str]) -> str:
    """Return the character itself where it is a part of an emoji, else nothing."""
    character, at, text = found[0], found.start(), found.string
    if character == _JOINER and _pictures(text[max(0, at - 2) : at]) and _pictures(text[at + 1 : at + 2]):
        return character
    before = text[at - 1 : at] if at else ""
    if character in _SELECTORS and before and (_pictures(before) or before in "#*0123456789©®™‼⁉ℹ↔"):
        return character
    return ""


def _pictures(text: str) -> bool:
    """Return whether the text ends in a picture, which may have a variation selector or a colour of skin."""
    text = text.rstrip(_SELECTORS)
    return bool(text) and (unicodedata.category(text[-1]) == "So" or "\U0001f3fb" <= text[-1] <= "\U0001f3ff")
