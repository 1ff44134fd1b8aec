"""What the tests of schedules share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from schedule_stage import Stage, WorkPlugin

import aegis_schedule.plugin


@pytest.fixture
def work() -> WorkPlugin:
    return WorkPlugin()


@pytest.fixture
def stage(project, kernel_with, work, clock) -> Stage:
    """Open it for a kernel with schedules; open it again for a restart."""
    return Stage(project, kernel_with, work, clock, aegis_schedule.plugin)
