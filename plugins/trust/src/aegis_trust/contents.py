"""What of a folder counts: its settings, and the files in it that the settings name."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from aegis_private.folder import read_file

MOST = 4_000_000  # bytes of one settings file; nobody reads more, so nobody can trust it
_LONGEST, _LONGEST_STEP = 4_096, 255  # characters of a path, and of a name in it, that the system takes
_DEEPEST = 50  # levels, as in YAML files
_SETTINGS = frozenset({".json", ".jsonc", ".toml"})
_ASIDE = "state"  # `.aegis/state` and what was set aside of it hold no settings
_DATA = frozenset({"match", "redact", "inherit", "drop", "say", "text", "edit", "when", "description"})
_PROSE = frozenset({"prompt", "primer", "message", "question", "payload"})  # a file as a whole, or words to read
_MANY = re.compile(r"(^|_)(files?|includes?|scripts?|hooks?|paths?)$")  # keys whose values may be patterns of names
_WORD = re.compile(r"[^\s\"'`;|&()<>]+")
_PART = re.compile(r"[^\s\"'`;|&()<>=,:@]+")  # of `--option=FILE`, `FILE:function`, `@FILE`
_HERE = re.compile(r"(\$\w+|\$\{[^}]*\}|~[^/]*|/proc/[^/]+/cwd)?/+")  # what may mean the folder: `$PWD/`, `$(pwd)/`
_GOES = re.compile(r"\bcd\s+[\"']?([^\s\"';&|()]+)")  # where a line of the shell goes on
_FOLDERS = re.compile(r"(PATH|LIB)$")  # variables with folders in which programs and modules are found
BESIDE = (  # what the CLIs of agents run or obey by themselves, in whichever folder they start
    ".claude/settings.json", ".claude/settings.local.json", ".mcp.json", ".gemini/settings.json", ".gemini/.env",
    ".gemini/extensions/*/gemini-extension.json", ".qwen/settings.json", "opencode.json", "opencode.jsonc",
    ".opencode/opencode.json", ".opencode/opencode.jsonc", ".opencode/plugin/*", ".opencode/plugins/*",
    ".opencode/tool/*", ".opencode/tools/*", ".codex/config.toml", ".cursor/mcp.json", ".cursor/hooks.json",
)  # fmt: skip
PERSONAL = frozenset({".claude/settings.local.json"})  # the person's own CLI writes permissions into it
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Names(NamedTuple):
    """The words of the settings that may be files of the folder, and the folders they may be relative to."""

    words: Sequence[str]
    patterns: Sequence[str]
    bases: Sequence[str]


class Contents(NamedTuple):
    """What a folder has: its settings as they were read, their values, what they name, and named files' marks."""

    settings: Mapping[str, bytes]
    values: Mapping[str, Mapping[str, Any]]
    names: Names
    files: Mapping[str, str]


def settings_of(root: Path, main: str) -> dict[str, bytes]:
    """Return the bytes of the settings file and of every overlay, by their paths.

    Raises `ValueError` for what cannot be read, is too long, or is another account's to change.
    """
    found: dict[str, bytes] = {}
    for path in (root / main, *overlays(root)):
        if (content := read_file(path, ValueError, MOST + 1)) is not None:
            if len(content) > MOST:
                raise ValueError(f"{path} is longer than {MOST // 1_000_000} MB")
            found[str(path.relative_to(root))] = content
    return found


def overlays(root: Path) -> list[Path]:
    """Return the files `.aegis/SECTION/KEY.yaml`."""
    found = (root / ".aegis").glob("*/*.yaml")
    return sorted(f for f in found if f.parent.name != _ASIDE and not f.parent.name.startswith(f"{_ASIDE}.set-aside-"))


def regular(path: Path, most: int = MOST) -> bytes | None:
    """Return the beginning of what is in the file, None when there is none; raises `ValueError` for what is no file."""
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path} is no file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most)


def marks(settings: Mapping[str, bytes]) -> dict[str, str]:
    """Return the mark of each."""
    return {name: sha256(content).hexdigest() for name, content in settings.items()}


def mark_of(name: str, content: bytes) -> str:
    """Return the mark of a file; of one that is `PERSONAL`, of what it says beside permissions: hooks, for example."""
    with suppress(ValueError, RecursionError):
        if name in PERSONAL and isinstance(values := json.loads(content or b"{}"), dict):
            content = json.dumps({**values, "permissions": None}, sort_keys=True).encode()
    return sha256(content).hexdigest()


def names_in(values: Any) -> Names:
    """Return what the plain values of settings may name."""
    words: dict[str, None] = {}
    patterns: dict[str, None] = {}
    bases: dict[str, None] = {"": None}
    for key, text in _texts(values, ""):
        if key == "cwd":
            bases[text] = None
        elif key not in _DATA:
            words.update(dict.fromkeys(_words(key, text)))
            bases.update(dict.fromkeys(() if key in _PROSE else _GOES.findall(text)))
            if _FOLDERS.search(key):
                patterns.update({f"{folder or '.'}/*": None for folder in text.split(os.pathsep)})
            if _MANY.search(key) and any(c in text for c in "*?["):
                patterns[text] = None
    return Names(list(words), list(patterns), list(bases))


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str | os.PathLike):
        yield key, os.fspath(value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, str(name))
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for inner in value:
            yield from _texts(inner, key)


def _words(key: str, text: str) -> Iterator[str]:
    found = [text] if key in _PROSE else [text, *_WORD.findall(text), *_PART.findall(text), *_unquoted(text)]
    found += [word[2:] for word in found if word.startswith("-")]  # `-oFILE`
    found += [word[here.end() :] for word in found if (here := _HERE.match(word))]
    return filter(_may_name, found)


def _unquoted(text: str) -> list[str]:
    """Return the words as a shell has them, in which there may be spaces."""
    with suppress(ValueError):
        return shlex.split(text) if any(c in text for c in "\"'\\") else []
    return []


def _may_name(word: str) -> bool:
    """Return whether a file may be called that: a name may have any character but one."""
    right = word.strip("./") and "\0" not in word and len(word) <= _LONGEST
    return bool(right) and all(len(step) <= _LONGEST_STEP for step in word.split("/"))


def files_of(root: Path, names: Names, *, beside: bool = True) -> Iterator[tuple[str, Path]]:
    """Yield every file of the folder that is named, by its path in the folder, once; with `beside` those of CLIs."""
    found = places(root, names, beside=beside)
    return ((name, path) for name, path in found if os.path.isfile(path))  # noqa: PTH113 - False for what is no path


def places(root: Path, names: Names, *, beside: bool = True) -> Iterator[tuple[str, Path]]:
    """Yield every path in the folder that is named, whether there is a file or not, once."""
    seen: set[str] = set()
    for (name, inside), exact in _candidates(root, names, BESIDE if beside else ()):
        within = name.partition(os.sep)[0] != ".." and (exact or not _is_state(name))
        if within and name not in seen:
            seen.add(name)
            yield name, inside


def _as_the_system_has_it(root: Path, path: Path) -> tuple[str, Path]:
    """Return the name in the folder and the path, without `..` unless that is another file: after a link it may be."""
    plain = os.path.normpath(path)
    if ".." in path.parts and os.path.realpath(plain) != (real := os.path.realpath(path)):
        if path.is_relative_to(root) and not Path(real).is_relative_to(root):
            return str(path.relative_to(root)), path
        plain = real
    return os.path.relpath(plain, root), Path(plain)


def _is_state(name: str) -> bool:
    """Return whether it is in the state, which changes all the time: only what is named exactly counts there."""
    above, _, below = name.partition(os.sep)
    step = below.partition(os.sep)[0]
    return above == ".aegis" and (step == _ASIDE or step.startswith(f"{_ASIDE}.set-aside-"))


def beside_of(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the files of CLIs in the folder itself, with what those say that are settings.

    What is no JSON to us, or nested deeper than anybody writes it, may be read by its CLI: it counts by its words.
    """
    for name, path in files_of(root, Names([], [], [""])):
        content, values = (regular(path) or b"{}").decode(errors="replace"), None
        with suppress(ValueError, RecursionError):
            values = json.loads(content)
        if isinstance(values, dict) and _shallow(values):
            yield name, values
        else:
            yield name, {"content": content} if path.suffix in _SETTINGS else {}


def _shallow(value: Any, levels: int = _DEEPEST) -> bool:
    """Return whether this is nested so little that it can be gone through and shown."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(one, levels - 1) for one in inner)


def _candidates(root: Path, names: Names, beside: Sequence[str]) -> Iterator[tuple[tuple[str, Path], bool]]:
    """Yield every path that may be meant, with its name in the folder, and whether it is named exactly."""
    for base in names.bases:
        for word in (*names.words, *(name for name in beside if "*" not in name)):
            yield _spelt(root, base, word) or _as_the_system_has_it(root, root / base / word), True
        for pattern in (*names.patterns, *(name for name in beside if "*" in name)):
            if not os.path.isdir(_above(root, base, pattern)):  # noqa: PTH112 - False for what is no path
                continue
            try:
                yield from ((_as_the_system_has_it(root, found), False) for found in (root / base).glob(pattern))
            except (ValueError, NotImplementedError, OSError):
                continue  # a pattern that is none


@lru_cache(10_000)  # of what is spelt so, whatever there is: the same for ever
def _spelt(root: Path, base: str, word: str) -> tuple[str, Path] | None:
    """Return the name in the folder and the path of what is named without `..`."""
    path = root / base / word
    return None if ".." in path.parts else _as_the_system_has_it(root, path)


@lru_cache(10_000)  # the same
def _above(root: Path, base: str, pattern: str) -> str:
    """Return the folder in which, or below which, everything lies that the pattern stands for."""
    steps = list(takewhile(lambda step: not set(step) & set("*?["), pattern.split("/")[:-1]))
    return str(root.joinpath(base, *steps)) if "" not in steps else str(root)
