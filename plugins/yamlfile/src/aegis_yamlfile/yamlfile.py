"""YAML files: read with the line of every key at hand, edited with comments kept, replaced all at once."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from aegis_private.folder import Folder, read_file
from aegis_private.umask import users_mode
from aegis_yamlfile.nodes import parse
from aegis_yamlfile.splice import Unwritable, spliced

T = TypeVar("T")
_WRITTEN = re.compile(r"[^\s,\[\]{}#'\"&*!|>][^,\[\]{}#]*")  # a scalar without quotes
_TABS = re.compile(r"[ \t]+(?=#|[\r\n]|\Z)")  # before a comment, or at the end of a line
_MOST_TABS = 50
_KEY = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_HALF = re.compile("[\ud800-\udfff]")
_STANDARD = ("tag:yaml.org,2002:", "!!")
Document = CommentedMap  # what comments and the places of keys are kept in
_MOST, _DEEPEST = 50_000, 50  # values and levels no honest file reaches; an alias counts each time it is used
MOST_BYTES, _MOST_LINES = 1_000_000, 20_000  # what is longer is not parsed: the parser takes a minute for it


class YamlFileError(Exception):
    """The file cannot be read, or is no mapping of sections."""


class YamlFile:
    """One YAML mapping on disk; `error` is what it raises, with a sentence that names file and line."""

    def __init__(self, path: Path, error: type[Exception] = YamlFileError) -> None:
        self.path, self.error = path, error
        self._trial: dict[Path, YamlFile | None] = {}  # overlays as an edit wants them, while it is checked

    def load(self, text: str | None = None) -> tuple[CommentedMap, dict[str, Any]]:
        """Return the document (of the file, unless a text is given) and its plain values; raises the file's error."""
        try:
            text = self._text() if text is None else text
            _check_size(text)
            document = _with_tabs(text, _loaded)
            document = CommentedMap() if document is None else document
            if not isinstance(document, CommentedMap):
                raise ValueError(f"the file must be a mapping of sections, not {str(document)[:40]!r}")
            return document, _plain(document, [_MOST], 0)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise self.error(f"{self.path}{line}: {(error.problem or str(error)).strip()}") from None
        except RecursionError:
            raise self.error(f"{self.path}: it has more than {_DEEPEST} levels") from None
        except (YAMLError, ValueError) as error:
            raise self.error(f"{self.path}: {str(error).splitlines()[0]}") from None

    def overlays(self, section: str) -> list[YamlFile]:
        """Return the files in the folder `.aegis/SECTION` beside it, each of which is an entry of that section."""
        folder = self.path.parent / ".aegis" / section
        return self._as_wanted(folder, [YamlFile(path, self.error) for path in folder.glob("*.yaml")])

    def _as_wanted(self, folder: Path, files: Iterable[YamlFile]) -> list[YamlFile]:
        """Return the overlays in a folder, by name, as they are or as an edit that is being checked wants them."""
        wanted = {path: file for path, file in self._trial.items() if path.parent == folder}
        found = {**{file.path: file for file in files}, **wanted}
        return [file for _, file in sorted(found.items()) if file]

    def accepted(self, by: str) -> str:
        """Return why what an edit has just written does not count yet; here it always does."""
        return ""

    def _text(self) -> str:
        try:
            raw = read_file(self.path, self.error, MOST_BYTES + 4) or b""
            return raw.decode("utf-8", "ignore" if len(raw) > MOST_BYTES else "strict")  # that is refused anyhow
        except UnicodeDecodeError as error:
            raise self.error(f"{self.path} cannot be read: {error}") from None

    def line(self, document: Any, where: Sequence[str | int]) -> int:
        """Return the line (from 1) of the key at this path, or of the closest key above it."""
        line = 1
        for key in where:
            if isinstance(document, CommentedMap) and key in document:
                line = document.lc.key(key)[0] + 1
            elif isinstance(document, CommentedSeq) and isinstance(key, int) and key < len(document):
                line = document.lc.item(key)[0] + 1
            else:
                break
            document = document[key]
        return line

    def written(self, document: Any, where: Sequence[str | int]) -> str:
        """Return the scalar at this path, or the last one on the way, as it is written; empty when there is none."""
        at: tuple[int, int] | None = None
        for key in where:
            if isinstance(document, CommentedMap) and key in (document.lc.data or {}):
                at = document.lc.value(key)
            elif isinstance(document, CommentedSeq) and isinstance(key, int) and key < len(document):
                at = document.lc.item(key)
            else:
                break
            document = document[key]
        lines = self._text().splitlines()
        rest = lines[at[0]][at[1] :] if at and at[0] < len(lines) else ""
        found = _WRITTEN.match(rest)
        return found[0].rstrip() if found else ""

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Keep every other editor waiting, whatever its process; gives the file that a link may stand for."""
        try:
            real = self.path.resolve()
            with Folder.open(real.parent, self.error) as folder, folder.folder(".aegis", make=True, mode=0o755) as ours:
                lock = ours.open_file(".edit.lock", os.O_RDWR | os.O_CREAT)
        except (OSError, RuntimeError) as error:  # it leads back to itself
            raise self.error(f"{self.path} cannot be edited: {error}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield real
        finally:
            os.close(lock)

    def edit(
        self, change: Callable[[Any], None], check: Callable[..., Any], done: Callable[[Any], None] = lambda found: None
    ) -> None:
        """Change the document, and replace the file once `check` accepts the result.

        Only the lines change that say what is changed: all others stay byte for byte. Raises the file's error when that
        cannot be done. `done` gets what `check` found before the next editor begins. The file's mode stays, and so does
        a link to it.
        """
        with self.locked() as real:
            written = self._changed(change)
            found = check(*self.load(written))
            self._put(real, written)
            done(found)

    def edit_overlay(
        self, section: str, key: str, change: Callable[[Any], None] | None, check: Callable[..., Any],
        done: Callable[[Any], None] = lambda found: None,
    ) -> None:  # fmt: skip
        """Change the overlay that is this entry of the section, or remove it when there is no `change`; as `edit` does.

        `check` gets this file as it is, and finds the overlay as it is to be.
        """
        if not _KEY.fullmatch(key):
            raise self.error(f"{key!r} cannot be the name of a file; use letters, digits, `-`, `_` and `.`")
        overlay = YamlFile(self.path.parent / ".aegis" / section / f"{key}.yaml", self.error)
        with self.locked():
            written = None if change is None else overlay._changed(change)
            self._trial = {overlay.path: None if written is None else KnownText(overlay.path, self.error, written)}
            try:
                found = check(*self.load())
            finally:
                self._trial = {}
            if written is not None:
                with (
                    Folder.open(self.path.parent, self.error) as root,
                    root.folder(".aegis") as ours,
                    ours.folder(section, make=True, mode=0o755),
                ):
                    pass
            self._put(overlay.path, written)
            done(found)

    def _put(self, real: Path, text: str | None) -> None:
        """Replace the file all at once, or remove it."""
        if text is None:
            real.unlink(missing_ok=True)
            return
        with tempfile.NamedTemporaryFile("wb", dir=real.parent, prefix=f".{real.name}.", delete=False) as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), real.stat().st_mode & 0o7777 if real.exists() else users_mode(0o644))
            os.fsync(file.fileno())
        os.replace(file.name, real)

    def _changed(self, change: Callable[[Any], None]) -> str:
        """Return the text that says what the document says once it is changed."""
        text = self._text()
        document, before = self.load(text)
        root = _with_tabs(text, lambda yaml, text: parse(text, yaml.parse(text), document))
        change(document)
        try:
            after = _plain(document, [_MOST], 0)
            for aliases in (False, True):
                written = spliced(text, root, before, after, aliases=aliases)
                with suppress(Exception):  # whatever is wrong with it, it is not what was meant
                    if self.load(written)[1] == after:
                        return written
        except Unwritable as error:
            raise self.error(f"{self.path} was not changed: {error}; change it by hand") from None
        except (ValueError, RecursionError) as error:
            raise self.error(f"{self.path} was not changed: {error}") from None
        raise self.error(f"{self.path} was not changed: no few lines of it can be; change it by hand")


class KnownText(YamlFile):
    """A file whose text is known."""

    def __init__(self, path: Path, error: type[Exception], text: str) -> None:
        super().__init__(path, error)
        self._known = text

    def _text(self) -> str:
        return self._known


def _check_size(text: str) -> None:
    """Raise `ValueError` for a text that the parser would take too long for."""
    if len(text) > MOST_BYTES or (not text.isascii() and len(text.encode(errors="replace")) > MOST_BYTES):
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes; nobody reads such a file")
    if text.count("\n") > _MOST_LINES:
        raise ValueError(f"it has more than {_MOST_LINES:,} lines; nobody reads such a file")
    if text.count(",") > 2 * _MOST:
        raise ValueError(f"it has more than {_MOST} values")
    if text.count("[") + text.count("{") + text.count(",") + text.count("- ") <= 2 * _DEEPEST:
        return
    depth = 0
    for count, event in enumerate(_yaml().parse(text)):  # stops where it is too much; a load goes on to the end
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST or count > 2 * _MOST:
            raise ValueError(f"it has more than {_MOST} values, or more than {_DEEPEST} levels")


def _with_tabs(text: str, work: Callable[[YAML, str], T]) -> T:
    """Return what is made of a text in which tabs may stand between words and comments, as YAML allows."""
    for _ in range(_MOST_TABS):
        try:
            return work(_yaml(), text)
        except MarkedYAMLError as error:  # this parser takes only spaces there; so much is the same to YAML
            at = error.problem_mark.index if error.problem_mark else len(text)
            if "'\\t'" not in str(error.problem) or not (blank := _TABS.match(text, at)):
                raise
            text = text[:at] + " " * len(blank[0]) + text[blank.end() :]
    return work(_yaml(), text)


def _loaded(yaml: YAML, text: str) -> Any:
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError):
        raise
    except TypeError:
        raise ValueError("a key is a list or a mapping; keys are words") from None
    except Exception as error:  # the parser has faults of its own with what nobody writes
        raise ValueError(f"it cannot be read as YAML: {error}") from error


def _yaml() -> YAML:
    yaml = YAML(typ="rt")  # it holds the state of a load: one for each
    yaml.preserve_quotes, yaml.width = True, 4096
    return yaml


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise ValueError(f"aliases make it larger than {_MOST} values or deeper than {_DEEPEST} levels")
    if isinstance(value, dict):
        return {str(k): _plain(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, left, depth + 1) for v in value]
    if isinstance(value, TaggedScalar):
        return _tagged(value)
    kind = next((k for k in (bool, int, float, str) if isinstance(value, k)), None)
    if kind is str and not value.isascii() and (bad := _HALF.search(value)):
        raise ValueError(f"{value[:40]!r} has half a surrogate pair at {bad.start()}, which is no character")
    return kind(value) if kind else value


def _tagged(value: TaggedScalar) -> Any:
    """Return what a scalar is whose type is said: `!!str 8080` is a text."""
    tag = str(value.tag.value)
    kind = next((tag.removeprefix(prefix) for prefix in _STANDARD if tag.startswith(prefix)), "")
    if kind == "str":
        return str(value.value)
    if not kind:
        raise ValueError(f"there is no type {tag!r} here; leave it out")
    return YAML(typ="safe", pure=True).load(f"!!{kind} {value.value}")
