"""What the agents of docs/how-to/more-agents.md may do under each permission, whatever their owner allowed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from model_server import Block, Model
from recipes import RECIPES, Recipe

from aegis.driver import Decision, PermissionRequest
from aegis.errors import Refused
from aegis.events import Text, ToolResult, TurnEnded
from aegis.testing.contract_base import of
from aegis.testing.seats import Seats, turn
from aegis_acp.driver import AcpDriver

MODES = {
    "claude-agent": {"acceptEdits", "default", "dontAsk", "plan"},
    "codex": {"auto", "full-access", "read-only"},
    "qwen": {"auto-edit", "default", "plan", "yolo"},
}
GUARDS = {"claude-agent": "meta", "codex": "env", "qwen": "env"}  # the line of a recipe without which it holds nothing


class Actor:
    """The agent of a recipe, whose model does one thing in each turn."""

    def __init__(self, recipe: Recipe, folder: Path, model: Model) -> None:
        self.recipe, self.model, self.home, self.work = recipe, model, folder / "home", folder / "work"
        self.seats = Seats(AcpDriver(), folder, recipe.environment(self.home, self.work, model))
        self.keys: Mapping[str, Any] = recipe.keys(self.home)

    async def act(self, permission: str, acts: Sequence[Block]) -> list[ToolResult]:
        """Do these, and return what came of each of those that began."""
        results: list[ToolResult] = []
        done = {"on": "tool_result", "say": "done"}
        self.model.follow(*({"when": f"^act {n}$", "say": [act]} for n, act in enumerate(acts)), done)
        async with self.seats.open({**self.keys, "permission": permission}) as session:
            for number, _ in enumerate(acts):
                events = await turn(session, f"act {number}")
                [end] = of(TurnEnded, events)
                assert end.outcome == "completed"
                assert of(Text, events) or "was not allowed" in end.reason, "it goes on, or it says why it does not"
                results += of(ToolResult, events)
        return results

    def edit(self, name: str) -> Block:
        """Return how its model writes this file of the folder."""
        return self.recipe.edit(self.work / name, "new")


@pytest.fixture(params=sorted(RECIPES))
def actor(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> Actor:
    return Actor(RECIPES[request.param], tmp_path, model)


async def refuse(request: PermissionRequest) -> Decision:
    return Decision("denied", "not on a Friday")


@pytest.mark.ability("permission read")
async def test_read_changes_nothing_and_asks_nobody(actor: Actor) -> None:
    results = await actor.act("read", [actor.edit("a.txt"), actor.recipe.run("touch b.txt")])
    assert not (actor.work / "a.txt").exists() and not (actor.work / "b.txt").exists()
    assert actor.seats.asked == []
    assert len(results) == 2 and all(result.is_error for result in results)


@pytest.mark.ability("permission write")
async def test_write_edits_its_folder_unasked_and_asks_for_commands(actor: Actor) -> None:
    actor.seats.decide = refuse
    await actor.act("write", [actor.edit("a.txt"), actor.recipe.run("rm a.txt")])
    assert (actor.work / "a.txt").read_text().strip() == "new"
    assert [(asked.kind, asked.title) for asked in actor.seats.asked] == [("execute", "rm a.txt")]


@pytest.mark.ability("what governs it")
async def test_write_asks_before_it_changes_what_governs_it(actor: Actor) -> None:
    actor.seats.decide = refuse
    places = [".aegis.yaml", ".aegis/new.yaml", *(f".{name}/new.txt" for name in ("codex", "claude", "qwen"))]
    await actor.act("write", [actor.edit(place) for place in places])
    assert [asked.paths for asked in actor.seats.asked] == [(str(actor.work / place),) for place in places]
    assert [place for place in places if (actor.work / place).exists()] == []


@pytest.mark.ability("permission auto")
async def test_auto_asks_for_everything_and_does_what_is_allowed(actor: Actor) -> None:
    await actor.act("auto", [actor.edit("a.txt"), actor.recipe.run("touch b.txt")])
    assert [asked.kind for asked in actor.seats.asked] == ["edit", "execute"]
    assert (actor.work / "a.txt").exists() and (actor.work / "b.txt").exists()


@pytest.mark.ability("permission full")
async def test_full_asks_nobody(actor: Actor) -> None:
    run = actor.recipe.free or actor.recipe.run
    await actor.act("full", [actor.edit("a.txt"), run("mv a.txt b.txt")])
    assert actor.seats.asked == []
    assert (actor.work / "b.txt").read_text().strip() == "new"


@pytest.mark.parametrize("permission", ["read", "write"])
async def test_a_permission_that_has_no_mode_is_refused(actor: Actor, permission: str) -> None:
    actor.keys = {name: value for name, value in actor.keys.items() if name != "mode_map"}
    with pytest.raises(Refused, match=rf"nothing holds this agent to the permission '{permission}'"):
        await actor.act(permission, [])
    assert actor.seats.processes == []


async def test_a_mode_that_is_not_there_is_refused_with_those_that_are(actor: Actor) -> None:
    actor.keys = {**actor.keys, "mode_map": {"read": "careful"}}
    with pytest.raises(Refused, match="no mode, which the permission 'read' needs, 'careful'") as refused:
        await actor.act("read", [])
    there = str(refused.value).partition("it has: ")[2].strip(")").split(", ")
    assert set(there) >= MODES[actor.recipe.agent]
    assert actor.seats.left() == []


async def test_without_its_guard_the_owners_settings_would_count(actor: Actor) -> None:
    """Why the recipe has that line: else this agent runs, under `read`, what its owner allowed somewhere else."""
    guard = GUARDS[actor.recipe.agent]
    for name in actor.keys.get("env", {}) if guard == "env" else ():
        del actor.seats.environment[name]
    actor.keys = {name: value for name, value in actor.keys.items() if name != guard}
    await actor.act("read", [actor.recipe.run("touch b.txt")])
    assert (actor.work / "b.txt").exists()
