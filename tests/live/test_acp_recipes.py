"""The recipes of docs/how-to/more-agents.md as they stand there keep the contract, in somebody careless's hands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
from acp_stage import scenes
from model_server import Model
from recipes import CLAUDE, CODEX, QWEN, RECIPES, Recipe
from test_acp_contract import UNSTAGED

import aegis_acp.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
from aegis import Caller, open_kernel
from aegis.events import PermissionAsked, TurnEnded, Usage
from aegis.testing.contracts import DriverContract
from aegis_acp.driver import AcpDriver


class RecipeContract(DriverContract):
    """What a driver keeps, kept with the generic driver by the agent of a recipe, whose permission is `auto`."""

    recipe: ClassVar[Recipe]
    unstaged = UNSTAGED

    @pytest.fixture
    def driver(self) -> AcpDriver:
        return AcpDriver()

    @pytest.fixture
    def environment(self, tmp_path: Path, project: Path, model: Model) -> dict[str, str]:
        self.recipe.environment(tmp_path / "home", project, model)
        return self.recipe.environment(tmp_path / "home", tmp_path / "work", model)

    @pytest.fixture
    def stage(self, tmp_path: Path, environment: dict[str, str], model: Model) -> dict[str, Any]:
        edit, shell = self.recipe.edit(tmp_path / "work" / "note.txt", "written"), "exec tail -f /dev/null"
        model.follow(*scenes(edit, self.recipe.run(shell), self.recipe.call("whoami")))
        return self.recipe.keys(tmp_path / "home") | {"permission": "auto"}


class TestCodex(RecipeContract):
    provider, recipe = "codex", CODEX
    bill = ((Usage(), None), (Usage(), None))  # it says neither what a turn took nor what it cost


class TestClaudeAgent(RecipeContract):
    provider, recipe = "claude-agent", CLAUDE
    bill = ((Usage(5, output=2), 4.5e-5), (Usage(7, output=3), 6.6e-5))  # at $3 and $15 a million tokens


class TestQwen(RecipeContract):
    provider, recipe = "qwen", QWEN
    bill = ((Usage(5, output=2), None), (Usage(7, output=3), None))  # it says no costs


PLUGINS = {"acp": aegis_acp.plugin, "inbox": aegis_inbox.plugin, "mcp": aegis_mcp.plugin}
ANNA = Caller("human", "anna")


@pytest.fixture(params=sorted(RECIPES))
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return RECIPES[request.param]


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_a_reader_knows_who_it_is_and_hands_over_unasked(
    recipe: Recipe, tmp_path: Path, project: Path, model: Model
) -> None:
    environment = recipe.environment(tmp_path / "home", project, model)
    keys = recipe.keys(tmp_path / "home") | {"permission": "read"}
    (project / ".aegis.yaml").write_text(json.dumps({"agents": {recipe.agent: keys}}))
    given = {"target_handle": "second", "context": "the word is plinth"}
    model.follow(
        {"when": "please begin", "say": [recipe.call("aegis_handoff", **given)]},
        {"when": "the word is plinth", "say": "I am told: {user}"},
        {"on": "tool_result", "say": "sent"},
    )
    replies, asked = {}, []
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with kernel.bus.subscribe() as news, trio.fail_after(100):
            for handle in ("first", "second"):
                await kernel.verbs.call(ANNA, "spawn", {"agent": recipe.agent, "handle": handle})
            await kernel.verbs.call(ANNA, "handoff", {"target_handle": "first", "context": "please begin"})
            async for batches in news:
                for batch in batches:
                    asked += [event for event in batch.events if type(event) is PermissionAsked]
                    agent = kernel.roster.get(batch.agent_id)
                    for end in batch.events:
                        if agent and type(end) is TurnEnded:
                            replies[agent.handle] = end.reply
                if len(replies) == 2:
                    break
    assert asked == []
    assert replies["first"] == "sent"
    assert "You are the agent `second`" in replies["second"] and "agent:first" in replies["second"]
