"""What the tests of this package share is in `terminal_stage`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from terminal_stage import Stage

import aegis_terminal.plugin
from aegis.testing.echo import EchoPlugin


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo):
    return {"echo": echo, "terminal": aegis_terminal.plugin}


@pytest.fixture
def config() -> dict[str, object]:
    """The section `plugins.terminal`; override it."""
    return {}


@pytest.fixture
def project(project, config, plugins):
    if "echo" not in plugins:
        return project
    agents = {mode: {"provider": "echo", "permission": mode} for mode in ("read", "write", "auto", "full")}
    (project / ".aegis.yaml").write_text(json.dumps({"agents": agents, "plugins": {"terminal": config}}))
    return project


@pytest.fixture
async def stage(kernel, echo):
    return Stage(kernel, echo)
