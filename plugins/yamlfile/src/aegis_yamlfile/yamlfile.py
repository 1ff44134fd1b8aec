"""YAML files: read with the line of every key at hand, edited with comments kept, replaced all at once."""

from __future__ import annotations

import fcntl
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from aegis_private.folder import Folder, read_file
from aegis_private.umask import users_mode

Document = CommentedMap  # what comments and the places of keys are kept in
_MOST, _DEEPEST = 50_000, 50  # values and levels no honest file reaches; an alias counts each time it is used


class YamlFileError(Exception):
    """The file cannot be read, or is no mapping of sections."""


class YamlFile:
    """One YAML mapping on disk; `error` is what it raises, with a sentence that names file and line."""

    def __init__(self, path: Path, error: type[Exception] = YamlFileError) -> None:
        self.path, self.error = path, error

    def load(self, text: str | None = None) -> tuple[CommentedMap, dict[str, Any]]:
        """Return the document (of the file, unless a text is given) and its plain values; raises the file's error."""
        try:
            document = _yaml().load(self._text() if text is None else text)
            document = CommentedMap() if document is None else document
            if not isinstance(document, CommentedMap):
                raise ValueError(f"the file must be a mapping of sections, not {str(document)[:40]!r}")
            return document, _plain(document, [_MOST], 0)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise self.error(f"{self.path}{line}: {(error.problem or str(error)).strip()}") from None
        except (YAMLError, ValueError, RecursionError) as error:
            raise self.error(f"{self.path}: {str(error).splitlines()[0]}") from None

    def overlays(self, section: str) -> list[YamlFile]:
        """Return the files in the folder `.aegis/SECTION` beside it, each of which is an entry of that section."""
        return [YamlFile(path, self.error) for path in sorted((self.path.parent / ".aegis" / section).glob("*.yaml"))]

    def accepted(self, by: str) -> str:
        """Return why what an edit has just written does not count yet; here it always does."""
        return ""

    def _text(self) -> str:
        try:
            return (read_file(self.path, self.error) or b"").decode("utf-8")
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

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Keep every other editor waiting, whatever its process; gives the file that a link may stand for."""
        try:
            real = self.path.resolve()
            with Folder.open(real.parent, self.error) as folder, folder.folder(".aegis", make=True) as ours:
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
        """Change the document, keep its comments, and replace the file once `check` accepts the result.

        `done` gets what `check` found before the next editor begins. The file's mode stays, and so does a link to it.
        """
        with self.locked() as real:
            document, out = self.load()[0], io.StringIO()
            change(document)
            _yaml().dump(document, out)
            found = check(*self.load(out.getvalue()))
            with tempfile.NamedTemporaryFile(
                "w", dir=real.parent, prefix=f".{real.name}.", delete=False, encoding="utf-8"
            ) as file:
                file.write(out.getvalue())
                file.flush()
                os.fchmod(file.fileno(), real.stat().st_mode & 0o7777 if real.exists() else users_mode(0o644))
                os.fsync(file.fileno())
            os.replace(file.name, real)
            done(found)


def _yaml() -> YAML:
    yaml = YAML(typ="rt")  # it holds the state of a load: one for each
    yaml.preserve_quotes, yaml.width = True, 4096
    return yaml


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise ValueError(f"aliases make it larger than {_MOST} values or deeper than {_DEEPEST} levels")
    if isinstance(value, CommentedMap):
        return {str(k): _plain(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, CommentedSeq):
        return [_plain(v, left, depth + 1) for v in value]
    kind = next((k for k in (bool, int, float, str) if isinstance(value, k)), None)
    return kind(value) if kind else value
