"""The workspace: its rooms (`drivers`, `primitives`, …), and the members in them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("kernel", "drivers", "primitives", "frontends", "plugins")


@dataclass(frozen=True)
class Member:
    """One distribution of the workspace."""

    folder: Path
    room: str

    @cached_property
    def toml(self) -> dict[str, Any]:
        """Its pyproject.toml."""
        return tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))

    @property
    def distribution(self) -> str:
        """What one installs: `aegis-inbox`."""
        return str(self.toml["project"]["name"])

    @property
    def package(self) -> str:
        """What one imports: `aegis_inbox`."""
        return "aegis" if self.room == "kernel" else f"aegis_{self.folder.name}"

    @property
    def source(self) -> Path:
        """The folder of its package."""
        return self.folder / "src" / self.package

    @property
    def path(self) -> str:
        """Where it stands: `primitives/inbox`."""
        return self.folder.relative_to(ROOT).as_posix()

    def modules(self) -> Iterator[Path]:
        """Yield its source files."""
        yield from sorted(self.source.rglob("*.py"))


def folders() -> Iterator[tuple[str, Path]]:
    """Yield (room, folder) of everything that stands in a room, a member or not yet."""
    yield "kernel", ROOT / "kernel"
    for room in ROOMS[1:]:
        for folder in sorted((ROOT / room).glob("*/")):
            if any(folder.rglob("*.py")) or (folder / "pyproject.toml").exists():
                yield room, folder


def members() -> list[Member]:
    """Return every member, the kernel first."""
    return [Member(folder, room) for room, folder in folders() if (folder / "pyproject.toml").exists()]


def plugins() -> list[Member]:
    """Return the members that come in by an entry point: all but the kernel and the libraries."""
    return [m for m in members()[1:] if "entry-points" in m.toml["project"]]


def libraries() -> list[Member]:
    """Return the members without an entry point: they know nothing of aegis, and others may depend on them."""
    return [m for m in members()[1:] if "entry-points" not in m.toml["project"]]
