"""What is installed, known without importing it: an exact index of plugins and verbs in the user's cache folder.

The index belongs to one interpreter prefix and is valid as long as no folder on `sys.path` changed (installing and
uninstalling changes one) and no source file of an editable plugin did. After anything else it is built again.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate

FORMAT = 3
_SETTLED = 2 * 10**9  # ns a folder must have been at rest: on a coarse file system two installs may share an mtime


class Index:
    """The index of this interpreter; `build` makes it when there is no valid one."""

    def __init__(self, build: Callable[[], dict[str, Any]], folder: Path | None = None) -> None:
        """Keep it in `folder` (default: `aegis` in the user's cache folder)."""
        self._build, self._folder = build, folder or cache_folder()
        self._loaded: dict[str, Any] | None = None

    @property
    def path(self) -> Path:
        """The file of this interpreter and search path."""
        name = zlib.crc32(repr((sys.prefix, sys.path)).encode())  # two of one name only cost time: the key decides
        return self._folder / f"index-{name:08x}.json"

    def load(self) -> dict[str, Any]:
        """Return `plugins` (name, value, distribution, version, summary), `verbs` (as described to a person), the
        `names` of all verbs, and `failed` (name → error)."""
        if self._loaded is None:
            self._loaded = self._stored() or self.rebuild()
        return self._loaded

    def rebuild(self) -> dict[str, Any]:
        """Build the index again, and store it if that is possible and safe."""
        key = installed()  # taken before: what is installed meanwhile makes the index invalid, not wrong
        built = self._build()
        built |= {"key": key, "sources": [[s, _mtime(s)] for s in built.get("sources", ())]}
        newest = max(m for _, m in [*key["path"], *built["sources"], ["", 0]])
        if time.time_ns() - newest > _SETTLED and not built.get("transient"):
            self._store(built)
        self._loaded = built
        return built

    def _stored(self) -> dict[str, Any] | None:
        try:
            with Folder.open(self._folder) as folder:
                stored: dict[str, Any] = json.loads(folder.read(self.path.name))
            if stored["key"] == installed() and all(_mtime(s) == m for s, m in stored["sources"]):
                return stored
        except (OSError, ValueError, LookupError, TypeError, NotPrivate):
            pass  # none, or not ours: it is built again
        return None

    def _store(self, built: dict[str, Any]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with Folder.open(self._folder) as folder:
                folder.replace(self.path.name, json.dumps(built).encode())
        except (OSError, NotPrivate):
            pass  # a cache that cannot be kept costs time, nothing else


def cache_folder() -> Path:
    """Return where this user's caches of aegis are."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "aegis"


def installed() -> dict[str, Any]:
    """Return what changes whenever something is installed, removed or narrowed."""
    return {
        "format": FORMAT, "python": sys.version, "prefix": sys.prefix, "only": os.environ.get("AEGIS_PLUGINS"),
        "path": [[entry, _mtime(entry or ".")] for entry in sys.path],
    }  # fmt: skip


def sources(packages: Iterable[Path]) -> list[str]:
    """Return the files and folders of packages that are edited in place, none of those that are installed."""
    found: list[str] = []
    for package in packages:
        if not {"site-packages", "dist-packages"} & set(package.parts):
            found += [str(p) for p in (package, *sorted(package.rglob("*.py")))]
    return found


def _mtime(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
