"""What the tests of this package share is in `queue_stage`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from queue_stage import Queues

import aegis_queue.plugin
from aegis.testing.echo import EchoPlugin


@pytest.fixture
def config() -> str:
    return "queues:\n  one: {agent: echo}\n  two: {agent: echo, max_parallel: 2}\n"


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo, project, config):
    (project / ".aegis.yaml").write_text(config)
    return {"echo": echo, "queue": aegis_queue.plugin}


@pytest.fixture
async def queues(kernel, echo):
    return Queues(kernel, echo)
