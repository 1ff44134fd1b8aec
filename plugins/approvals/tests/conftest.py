"""The stage stands beside the tests and is imported by its name."""

import sys
from pathlib import Path

import pytest

import aegis_approvals.plugin

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def asking(project):
    """The driver, in a project with a profile for each mode."""
    from approvals_stage import CONFIG, Asking  # noqa: PLC0415 - found by the line above

    (project / ".aegis.yaml").write_text(CONFIG)
    return Asking()


@pytest.fixture
def plugins(asking):
    """What is under test, and who asks."""
    return {"asking": asking, "approvals": aegis_approvals.plugin}
