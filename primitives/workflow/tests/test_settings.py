"""The section `workflows` is read when it is used: a change takes effect in a running kernel."""

from __future__ import annotations

import pytest
from workflow_stage import Stage

from aegis import ConfigError
from aegis_workflow.api import workflow


@workflow
async def says_its_settings(engine):
    return dict(engine.config)


async def test_changed_settings_of_a_workflow_are_those_of_its_next_run(stage: Stage, project, config):
    first = await stage.end(await stage.begin("says_its_settings"))
    (project / ".aegis.yaml").write_text(f"{config}workflows:\n  config:\n    says-its-settings: {{colour: red}}\n")
    await stage.kernel.config.refresh()
    second = await stage.end(await stage.begin("says_its_settings"))
    assert (first.result, second.result) == ({}, {"colour": "red"})


@workflow
async def walks(engine, steps: int):
    await engine.parallel([engine.now() for _ in range(steps)])


async def test_a_run_takes_so_many_steps_and_no_more(stage: Stage, project, config):
    (project / ".aegis.yaml").write_text(f"{config}workflows: {{steps: 5}}\n")
    await stage.kernel.config.refresh()
    assert (await stage.end(await stage.begin("walks", steps=4))).status == "ok"
    row = await stage.end(await stage.begin("walks", steps=6))
    assert row.error.startswith("a run takes at most 5 steps (`workflows.steps`)")


@pytest.mark.parametrize(
    "key", ["config: {a-b: {x: 1}, a_b: {x: 2}}", "allow: {a-b: {agents: [x]}, a_b: {agents: []}}"]
)
async def test_of_two_spellings_of_one_workflow_none_is_silently_taken(stage: Stage, project, config, key):
    (project / ".aegis.yaml").write_text(f"{config}workflows: {{{key}}}\n")
    with pytest.raises(ConfigError, match="'a-b' and 'a_b' are one workflow; keep one of the two"):
        await stage.kernel.config.refresh()


async def test_files_that_the_section_names_from_now_on_are_read(stage: Stage, project, config):
    (project / "flows").mkdir()
    (project / "flows/new.py").write_text(
        "from aegis_workflow.api import workflow\n@workflow\nasync def brand_new(engine):\n    return 1\n"
    )
    assert "brand_new" not in [row.name for row in await stage.call("workflow list")]
    (project / ".aegis.yaml").write_text(f"{config}workflows:\n  files: [flows/*.py]\n")
    await stage.kernel.config.refresh()
    assert "brand_new" in [row.name for row in await stage.call("workflow list")]
    assert (await stage.end(await stage.begin("brand_new"))).result == 1
