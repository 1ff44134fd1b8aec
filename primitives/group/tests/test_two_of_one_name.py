"""Of two presets that one name could mean none is silently taken."""

from __future__ import annotations

import pytest
from group_stage import Stage

from aegis import ConfigError, Refused


async def test_a_preset_in_two_places_is_a_mistake_that_names_both(stage: Stage, project):
    (project / ".aegis" / "groups").mkdir(parents=True)
    (project / ".aegis" / "groups" / "review.yaml").write_text("profiles: [sec]\n")
    with pytest.raises(ConfigError, match=r"the preset 'review' is in \.aegis/groups/review\.yaml, too; keep one"):
        await stage.kernel.config.refresh()


async def test_a_group_of_another_making_does_not_take_a_preset(stage: Stage):
    await stage.call("group spawn-mixed", group="audit", preset="review")
    await stage.gather("sec", group="plain")
    done = await stage.call("group spawn-mixed", group="audit", preset="review")
    assert done.handles.keys() == {"sec#3", "sec#4", "api#2"}, "more of the same"
    with pytest.raises(Refused, match="the group 'plain' was made of no preset; give the profiles"):
        await stage.call("group spawn-mixed", group="plain", preset="review")
