"""YAML files: read with the line of every key at hand, edited with comments kept, replaced all at once."""

from __future__ import annotations

import fcntl
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from aegis.errors import ConfigError

_MOST_NODES, _DEEPEST = 50_000, 50  # what any honest file stays under; aliases count each time they are used


class YamlFile:
    """One YAML mapping on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def parse(self, text: str) -> CommentedMap:
        """Return the document with its comments; raises `ConfigError` with file and line."""
        try:
            document = _yaml().load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise ConfigError(f"{self.path}{line}: {(error.problem or str(error)).strip()}") from None
        except (YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{self.path}: {str(error).splitlines()[0]}") from None
        if document is None:
            return CommentedMap()
        if not isinstance(document, CommentedMap):
            raise ConfigError(f"{self.path}: the file must be a mapping of sections, not a {type(document).__name__}")
        return document

    def text(self) -> str:
        """Return the file's text, empty when there is no file; raises `ConfigError`."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except IsADirectoryError:
            raise ConfigError(f"{self.path} is a directory; it should be a YAML file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {error}") from None

    def load(self) -> tuple[CommentedMap, dict[str, Any]]:
        """Return the document and the same as plain values; raises `ConfigError`."""
        document = self.parse(self.text())
        return document, self.plain(document)

    def plain(self, document: CommentedMap) -> dict[str, Any]:
        """Return the document as plain values; raises `ConfigError` when aliases blow it up."""
        try:
            values: dict[str, Any] = _plain(document, [_MOST_NODES], 0)
            return values
        except OverflowError:
            raise ConfigError(
                f"{self.path}: aliases make it larger than {_MOST_NODES} values or deeper than {_DEEPEST}"
            ) from None

    def line(self, document: Any, where: Sequence[str | int]) -> int:
        """Return the line (from 1) of the key at this path, or of the closest key above it."""
        line = 1
        for key in where:
            try:
                if isinstance(document, CommentedMap):
                    line = document.lc.key(key)[0] + 1
                elif isinstance(document, CommentedSeq):
                    line = document.lc.item(key)[0] + 1
                document = document[key]
            except (KeyError, IndexError, TypeError):
                break
        return line

    def edit(self, change: Callable[[CommentedMap], None], check: Callable[[CommentedMap], Any]) -> None:
        """Change the document, keep its comments, and replace the file once `check` accepts the result.

        The file's mode stays, a symbolic link stays a link; editors of the same file wait for one another.
        """
        with _locked(self.path):
            document = self.parse(self.text())
            change(document)
            out = io.StringIO()
            _yaml().dump(document, out)
            check(self.parse(out.getvalue()))
            replace_file(self.path, out.getvalue().encode())


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in place of the file at once and durably; mode and symbolic link are kept."""
    real = path.resolve()
    fd, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, real.stat().st_mode & 0o7777 if real.exists() else 0o644)
        os.replace(temporary, real)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    folder = path.resolve().parent / ".aegis"
    folder.mkdir(exist_ok=True)
    with (folder / ".edit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _DEEPEST:
        raise OverflowError
    if isinstance(value, CommentedMap):
        return {str(k): _plain(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, CommentedSeq | list):
        return [_plain(v, left, depth + 1) for v in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
