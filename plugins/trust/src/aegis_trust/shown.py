"""What a person is shown before saying yes: every setting and every named file, and what has changed of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any, NamedTuple

from aegis_trust.contents import PERSONAL, Contents, mark_of, marks, regular
from aegis_trust.trust import Trust

_PLAIN = re.compile(r"[^\W\d_][\w./+-]*(?: [\w./+-]+)*\Z")
_LONG = 300  # characters of one text beyond which only its beginning is shown, unless all is wanted
_LARGEST = 200_000  # bytes of a file whose text is shown


class Entry(NamedTuple):
    """One entry of the settings, or one file: its name and what it says."""

    name: str
    says: str


def settings(contents: Contents, *, whole: bool = False) -> list[Entry]:
    """Return every entry of the settings, in the order of the files; long texts are cut unless `whole`."""
    return [Entry(name, flow(value, _LONG if not whole else 0)) for name, value in _entries(contents)]


def _entries(contents: Contents) -> Iterator[tuple[str, Any]]:
    for file, values in contents.values.items():
        if file not in contents.settings:  # what a CLI reads by itself
            yield file, values
            continue
        parts = Path(file).parts
        if len(parts) == 3:
            yield f"{parts[1]}.{parts[2].removesuffix('.yaml')}", values
            continue
        for section, value in values.items():
            if isinstance(value, Mapping) and value and all(isinstance(v, Mapping | list) for v in value.values()):
                for key, inner in value.items():
                    yield f"{section}.{key}", inner
            else:
                yield section, value


def flow(value: Any, longest: int = 0, *, inner: bool = False) -> str:
    """Return a value on one line, as YAML would have it."""
    if isinstance(value, Mapping):
        said = ", ".join(f"{flow(k)}: {flow(v, longest, inner=True)}" for k, v in value.items())
        return f"{{{said}}}" if inner or not value else said
    if isinstance(value, list):
        return f"[{', '.join(flow(item, longest, inner=True) for item in value)}]"
    if isinstance(value, str):
        cut = f" … {len(value) - longest:,} more characters" if longest and len(value) > longest else ""
        shown = value[:longest] if cut else value
        return (shown if _PLAIN.match(shown) else json.dumps(shown, ensure_ascii=False)) + cut
    return json.dumps(value, default=str)


def files(trust: Trust, contents: Contents) -> list[Entry]:
    """Return every named file with its size, or where it leads."""
    found = []
    for name, mark in contents.files.items():
        size = 0 if mark.startswith("->") else (trust.root / name).stat().st_size
        found.append(Entry(name, mark if mark.startswith("->") else f"{size:,} bytes, sha256 {mark[:12]}"))
    return found


def diff(trust: Trust, contents: Contents) -> str:
    """Return what has changed since it was trusted, as a unified diff; of what never was, all of its text."""
    record = trust.record
    texts = {name: c.decode("utf-8", "replace") for name, c in (*contents.settings.items(), *_texts(trust, contents))}
    now, was = {**marks(contents.settings), **contents.files}, {**record.settings, **record.files}
    lines: list[str] = []
    for name in sorted({*was, *now}):
        nothing = mark_of(name, b"") if name in PERSONAL and record.when else ""
        if was.get(name, nothing) == now.get(name, nothing):
            continue
        before, after = name if name in was else "/dev/null", name if name in now else "/dev/null"
        known = (name in texts or name not in now) and (name in record.texts or name not in was)
        part = _compared(record.texts.get(name, ""), texts.get(name, ""), before, after) if known else []
        lines += part or [f"--- {before}", f"+++ {after}", "(no text to compare)"]
    return "\n".join(lines)


def _compared(was: str, now: str, before: str, after: str) -> list[str]:
    found = unified_diff(was.splitlines(), now.splitlines(), before, after, lineterm="")
    return [line.rstrip("\n") for line in found]


def _texts(trust: Trust, contents: Contents) -> Iterator[tuple[str, bytes]]:
    for name, mark in contents.files.items():
        path = trust.root / name
        if mark.startswith("->"):
            yield name, f"{mark}\n".encode()
            continue
        content = regular(path, _LARGEST) or b""
        if b"\0" not in content and mark_of(name, content) == mark:  # exactly what a yes would be for
            yield name, content
