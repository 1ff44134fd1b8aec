"""A stage in which workflows run, whose agents echo."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from workflow_stage import Stage

import aegis_inbox.plugin
import aegis_queue.plugin
import aegis_workflow.plugin
from aegis.testing.echo import EchoPlugin


@pytest.fixture
def config() -> str:
    return "agents:\n  coder: {provider: echo}\nqueues:\n  work: {agent: coder}\n"


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo, project, config):
    (project / ".aegis.yaml").write_text(config)
    return {
        "echo": echo, "inbox": aegis_inbox.plugin, "queue": aegis_queue.plugin, "workflow": aegis_workflow.plugin,
    }  # fmt: skip


@pytest.fixture
async def stage(kernel, echo):
    return Stage(kernel, echo)
