"""What is saved is in force; what is wrong is said and changes nothing; a watch that nobody disturbs does nothing."""

import os
from pathlib import Path

import pytest
import trio

from aegis import Caller, ConfigError, Settings, hookimpl
from aegis.events import ConfigChanged
from aegis_configedit import plugin

ANNA = Caller("human", "anna")


class Shape(Settings):
    sides: int = 0


class Shapes:
    @hookimpl
    def aegis_settings(self):
        return {"shapes": dict[str, Shape]}


@pytest.fixture
def plugins():
    return {"configedit": plugin, "shapes": Shapes()}


async def change(news) -> ConfigChanged:
    """Return the next change of the configuration that is told."""
    with trio.fail_after(20):
        async for batches in news:
            for event in (e for batch in batches for e in batch.events):
                if isinstance(event, ConfigChanged):
                    return event
    raise AssertionError("the bus has ended")


def save(path: Path, text: str, *, how: str) -> None:
    """Save as an editor does: in place, or by a new file that takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "in place":
        path.write_text(text)
    else:
        (path.parent / "new.tmp").write_text(text)
        os.replace(path.parent / "new.tmp", path)


@pytest.mark.parametrize("how", ["in place", "by replacing"])
async def test_a_saved_change_is_in_force(kernel, project, how):
    with kernel.bus.subscribe() as news:
        await trio.testing.wait_all_tasks_blocked()
        save(project / ".aegis.yaml", "shapes: {cube: {sides: 6}}\n", how=how)
        told = await change(news)
        assert (told.sections, told.error) == (("shapes",), "")
        assert kernel.config.section("shapes")["cube"].sides == 6
        save(project / ".aegis.yaml", "shapes: {cube: {sides: many}}\n", how=how)
        told = await change(news)
        assert "shapes.cube.sides" in told.error
        assert kernel.config.section("shapes")["cube"].sides == 6
        assert "the last good configuration is in force" in str(await kernel.verbs.call(ANNA, "config status"))
        save(project / ".aegis.yaml", "shapes: {cube: {sides: 12}}\n", how=how)
        told = await change(news)
        assert (told.sections, told.error) == (("shapes",), "")
        assert kernel.config.error == ""


async def test_an_overlay_in_a_folder_that_is_new_is_in_force(kernel, project):
    with kernel.bus.subscribe() as news:
        await trio.testing.wait_all_tasks_blocked()
        save(project / ".aegis" / "shapes" / "ball.yaml", "sides: 1\n", how="in place")
        assert (await change(news)).sections == ("shapes",)
        save(project / ".aegis" / "shapes" / "ball.yaml", "sides: 2\n", how="by replacing")
        assert (await change(news)).sections == ("shapes",)
        assert kernel.config.section("shapes")["ball"].sides == 2
        (project / ".aegis" / "shapes" / "ball.yaml").unlink()
        await change(news)
        assert kernel.config.section("shapes") == {}


async def test_a_file_behind_a_link_is_watched(kernel_with, project, tmp_path, plugins):
    shared = tmp_path / "dotfiles" / "aegis.yaml"
    save(shared, "shapes: {}\n", how="in place")
    (project / ".aegis.yaml").symlink_to(shared)
    async with kernel_with(**plugins) as kernel:
        with kernel.bus.subscribe() as news:
            await trio.testing.wait_all_tasks_blocked()
            save(shared, "shapes: {cube: {}}\n", how="by replacing")
            assert (await change(news)).sections == ("shapes",)


async def test_a_reload_says_who_wanted_it_and_what_is_wrong(kernel, project):
    (project / ".aegis.yaml").write_text("shapes: {cube: {}}\n")
    with kernel.bus.subscribe() as news:
        status = await kernel.verbs.call(ANNA, "config reload")
        assert status.error == "" and str(status).endswith("is in force")
        (project / ".aegis.yaml").write_text("shapes: 5\n")
        with pytest.raises(ConfigError, match="shapes"):
            await kernel.verbs.call(ANNA, "config reload")
        assert (await change(news)).who in ("human:anna", "a change of the file")
