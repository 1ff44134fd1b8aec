"""What the tests of this package share is in `canvas_stage`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from canvas_stage import Stage

import aegis_canvas.plugin
from aegis.testing.echo import EchoPlugin


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo):
    return {"echo": echo, "canvas": aegis_canvas.plugin}


@pytest.fixture
async def stage(kernel, echo):
    return Stage(kernel, echo)
