"""What a profile's permission decides without asking anyone."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis import PermissionRequest
from aegis_acp.leave import decided


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("a.py", True),
        ("sub/../a.py", True),
        ("../a.py", False),
        ("~/a.py", False),
        (".aegis.yaml", False),
        ("x/../.aegis/agents/me.yaml", False),
        ("a\0b", False),
    ],
)
def test_write_edits_its_folder_but_not_what_governs_it(tmp_path: Path, path: str, allowed: bool) -> None:
    decision = decided("write", PermissionRequest("1", "edit", "edit", paths=(path,)), tmp_path)
    assert (decision is not None and decision.allowed) == allowed
