"""A stage with groups, whose members echo."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from group_stage import Stage

import aegis_group.plugin
import aegis_inbox.plugin
import aegis_reducers.plugin
from aegis.testing.echo import EchoPlugin
from aegis.testing.vouches import Vouches


@pytest.fixture
def config() -> str:
    return (
        "agents:\n  sec: {provider: echo}\n  api: {provider: echo}\n  style: {provider: echo}\n"
        "groups:\n  defaults: {broadcast_timeout: 60}\n"
        "  presets:\n    review: {profiles: [sec, api, sec], reducer: join_by_handle}\n"
    )


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo, project, config):
    (project / ".aegis.yaml").write_text(config)
    return {
        "echo": echo, "group": aegis_group.plugin, "inbox": aegis_inbox.plugin, "reducers": aegis_reducers.plugin,
        "vouches": Vouches(),
    }  # fmt: skip


@pytest.fixture
async def stage(kernel, echo):
    return Stage(kernel, echo)
