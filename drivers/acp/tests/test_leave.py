"""What a profile's permission decides without asking anyone."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis import PermissionRequest
from aegis_acp.leave import decided, delicate


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("a.py", True),
        ("sub/../a.py", True),
        ("../a.py", False),
        ("~/a.py", False),
        (".aegis.yaml", False),
        (".AEGIS.yaml", False),
        ("sub/.aegis.yaml", False),  # of a project within
        ("x/../.aegis/agents/me.yaml", False),
        ("a\0b", False),
    ],
)
def test_write_edits_its_folder_but_not_what_governs_it(tmp_path: Path, path: str, allowed: bool) -> None:
    decision = decided("write", PermissionRequest("1", "edit", "edit", paths=(path,)), tmp_path)
    assert (decision is not None and decision.allowed) == allowed


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.py", False),
        (".github/ci.yaml", False),
        (".gitignore", False),
        (".gemini/settings.json", True),
        ("sub/opencode.json", True),
        (".git/hooks/pre-commit", True),
        ("link/pre-commit", True),
        ("a\0b", True),
    ],
)
def test_what_others_take_orders_from_is_delicate(tmp_path: Path, path: str, expected: bool) -> None:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / ".git" / "hooks")
    assert delicate(tmp_path, ["a.txt", path]) is expected
