"""What a profile's permission decides without asking anyone."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.driver import PermissionRequest
from aegis.events import ToolKind
from aegis_claude.leave import decided


def edit(*paths: str, tool: str = "Write", kind: ToolKind = "edit") -> PermissionRequest:
    return PermissionRequest("1", tool, kind, paths=paths)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("a.py", True),
        ("sub/../a.py", True),
        (".github/workflows/ci.yaml", True),
        ("../a.py", False),
        ("out/a.py", False),  # a link
        (".aegis.yaml", False),
        (".AEGIS.yaml", False),
        ("sub/.aegis.yaml", False),  # of a project within
        ("x/../.aegis/agents/me.yaml", False),
        ("state/ledger.db", False),  # a link
        ("a\0b", False),
    ],
)
def test_write_edits_its_folder_but_not_what_governs_it(tmp_path: Path, path: str, allowed: bool) -> None:
    home = tmp_path / "home"
    (home / ".aegis" / "state").mkdir(parents=True)
    (home / "state").symlink_to(home / ".aegis" / "state")
    (home / "out").symlink_to(tmp_path)
    decision = decided("write", edit(f"{home}/{path}"), home)
    assert (decision is not None and decision.allowed) == allowed


@pytest.mark.parametrize("paths", [(), ("{home}/a.py", "/etc/passwd")])
def test_every_file_must_be_in_the_folder(tmp_path: Path, paths: tuple[str, ...]) -> None:
    assert decided("write", edit(*(path.format(home=tmp_path) for path in paths)), tmp_path) is None


@pytest.mark.parametrize("kind", ["delete", "move", "execute", "fetch", "switch_mode", "other", "read"])
def test_write_settles_nothing_else(tmp_path: Path, kind: ToolKind) -> None:
    assert decided("write", edit(str(tmp_path / "a"), kind=kind), tmp_path) is None


def test_auto_settles_nothing_and_full_all(tmp_path: Path) -> None:
    assert decided("auto", edit(str(tmp_path / "a")), tmp_path) is None
    full = decided("full", edit("/etc/passwd"), tmp_path)
    assert full is not None and full.allowed
