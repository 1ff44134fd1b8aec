"""Which workflows there are is read from the files, and nothing of them is run; of two of one name it is said which."""

from __future__ import annotations

import os

import pytest
from workflow_stage import Stage

import aegis_workflows.plugin
from aegis import ConfigError, NotFound, Refused
from aegis_trust.trust import FOLDERS, Trust

HEAD = "from pathlib import Path\nPath('ran').touch()\nfrom aegis_workflow.api import workflow\n"
TYPES = (
    HEAD
    + '''
import typing as t
from enum import Enum
from typing import Annotated, Literal, Optional

from pydantic import Field

NAME = "by-constant"


class Colour(Enum):
    RED = "red"


@workflow("many-things")
async def many(
    engine, since: str, count: int = 1, loud: bool = False, tags: list[str] = (), how: Literal["a", "b"] = "a",
    depth: Optional[int] = None, where: "str | None" = None, colour: Colour = Colour.RED, *,
    note: Annotated[str, Field(description="what to say")] = "x", more: t.Any = None, pairs: dict[str, int] = {},
):
    """Say what is new.

    And more.
    """
    return {"colour": colour.value if colour is Colour.RED else colour, "since": since, "tags": list(tags)}


if True:
    @workflow(NAME)
    async def other(engine):
        """The other."""
'''
)


@pytest.fixture
def config(project) -> str:
    (project / "flows").mkdir()
    return "agents:\n  coder: {provider: echo}\nqueues:\n  work: {agent: coder}\nworkflows: {files: [flows/*.py]}\n"


@pytest.fixture
def plugins(plugins):
    return {**plugins, "workflows": aegis_workflows.plugin}


async def test_names_arguments_and_first_lines_are_read_and_nothing_is_run(stage: Stage, project):
    (project / "flows/a.py").write_text(TYPES)
    rows = {row.name: row for row in await stage.call("workflow list")}
    assert (rows["many-things"].about, rows["many-things"].source) == ("Say what is new.", "flows/a.py")
    assert rows["many-things"].arguments.startswith(
        "since: str, count: int = 1, loud: bool = False, tags: list[str] = ()"
    )
    assert rows["by-constant"].about == "The other."
    schema = await stage.call("workflow arguments", name="many_things")
    found = schema["properties"]
    assert schema["required"] == ["since"]
    assert (found["count"]["type"], found["loud"]["default"], found["tags"]["items"]) == (
        "integer", False, {"type": "string"},
    )  # fmt: skip
    assert (found["how"]["enum"], found["note"]["description"]) == (["a", "b"], "what to say")
    assert [part["type"] for part in found["depth"]["anyOf"]] == ["integer", "null"]
    assert "type" not in found["colour"] and found["colour"]["default"] is None
    assert found["pairs"]["additionalProperties"] == {"type": "integer"}
    with pytest.raises(Refused, match="count: Input should be a valid integer"):
        await stage.begin("many-things", since="v1", count="many")
    with pytest.raises(NotFound, match="Did you mean 'many-things'"):
        await stage.begin("many-thing")
    assert not (project / "ran").exists()
    row = await stage.end(await stage.begin("many-things", since="v1", tags="one"))
    assert row.result == {"colour": "red", "since": "v1", "tags": ["one"]}, "its code knows its own defaults"
    assert (project / "ran").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def (\n", "flows/a.py:1: SyntaxError: invalid syntax"),
        (HEAD + "@workflow\ndef f(engine): ...\n", "flows/a.py:5: the workflow 'f' must be an async function"),
        (HEAD + "@workflow\nasync def f(other): ...\n", "flows/a.py:5: the workflow 'f' must be an async function"),
        (HEAD + "@workflow(f'{1}')\nasync def f(engine): ...\n", "flows/a.py:4: the name of a workflow is"),
        (HEAD + "@workflow\nasync def f(engine): ...\n@workflow('f')\nasync def g(engine): ...\n", "a.py:5 and fl"),
        (HEAD + "@workflow\nasync def f(engine, _x=1): ...\n", "flows/a.py:5: the parameter '_x' of 'f' begins with"),
        ("x = " + "-" * 100_000 + "1", "flows/a.py:1: MemoryError: its code is nested too deeply"),
        ("a" + ".b" * 90_000, "flows/a.py:1: RecursionError"),
        ("x = 1\n" * 40_000, "it has more than 200,000 bytes"),
        (b"# \xff\xfe\n", "flows/a.py: it cannot be read"),
        (b"x = '\0'\n", "flows/a.py:1: "),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_is_named_with_the_reason(stage: Stage, project, source, said):
    (project / "flows/a.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    with pytest.raises(ConfigError) as error:
        await stage.call("workflow list")
    assert said in str(error.value)


async def test_what_is_no_file_is_named_and_not_waited_for(stage: Stage, project):
    os.mkfifo(project / "flows/a.py")
    with pytest.raises(ConfigError, match=r"flows/a\.py: it cannot be read: it is no file"):
        await stage.call("workflow list")


@pytest.mark.parametrize("pattern", ["/etc/*.py", "", "**a"])
async def test_a_pattern_that_names_nothing_here_is_said(stage: Stage, project, config, pattern):
    (project / ".aegis.yaml").write_text(config.replace("flows/*.py", f"'{pattern}'"))
    await stage.kernel.config.refresh()
    with pytest.raises(ConfigError, match=r"workflows\.files: '.*' names no files here"):
        await stage.call("workflow list")


async def test_a_file_in_another_encoding_is_read_as_python_does(stage: Stage, project):
    source = f"# coding: latin-1\n{HEAD}@workflow\nasync def f(engine):\n    'grün'\n    return 'ö'\n"
    (project / "flows/a.py").write_bytes(source.encode("latin-1"))
    rows = {row.name: row.about for row in await stage.call("workflow list")}
    assert rows["f"] == "grün"
    assert (await stage.end(await stage.begin("f"))).result == "ö"


OWN = HEAD + '@workflow("tdd-cycle")\nasync def mine(engine, own: int = 1):\n    "Ours."\n    return "ours"\n'


async def test_the_project_s_own_workflow_is_run_where_a_plugin_has_one_of_its_name(stage: Stage, project):
    (project / "flows/a.py").write_text(OWN)
    rows = {row.name: row for row in await stage.call("workflow list")}
    assert (rows["tdd-cycle"].source, rows["tdd-cycle"].about) == ("flows/a.py", "Ours.")
    assert "tdd_cycle" not in rows
    for name in ("tdd_cycle", "tdd-cycle"):
        assert (await stage.end(await stage.begin(name))).result == "ours"
    said = "flows/a.py:5: its workflow 'tdd-cycle' is run, and that of the plugin 'workflows' has no effect."
    assert said in stage.kernel.config.remarks


async def test_agents_may_not_run_it_because_the_plugin_s_lets_them(stage: Stage, project):
    (project / "flows/a.py").write_text(OWN.replace("tdd-cycle", "prompt"))
    agent = await stage.kernel.roster.spawn("coder", "calm-codd")
    with pytest.raises(Refused, match="agents run only workflows that a person has listed for them"):
        await stage.call("workflow run", agent, name="prompt")


async def test_a_run_goes_on_as_what_it_began_as(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("brainstorm_to_spec", topic="a door")
    (project / "flows/a.py").write_text(OWN.replace("tdd-cycle", "brainstorm-to-spec"))
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.call("workflow cancel", workflow_id=run)
        assert (await stage.call("workflow show", workflow_id=run)).name == "brainstorm_to_spec"
        assert (await stage.end(await stage.begin("brainstorm_to_spec"))).result == "ours"


async def test_a_broken_file_hides_no_plugin_s_workflow_unless_it_may_have_one_of_that_name(stage: Stage, project):
    (project / "flows/a.py").write_text("def (\n")
    assert (await stage.end(await stage.begin("prompt", agent="coder", text="hello"))).status == "ok"
    (project / "flows/a.py").write_text(OWN + "def (\n")
    with pytest.raises(ConfigError, match=r"flows/a\.py:8"):
        await stage.begin("tdd_cycle", feature="a door")


async def test_a_file_that_has_changed_since_it_was_trusted_is_neither_listed_nor_run(
    kernel_with, plugins, echo, project, tmp_path, monkeypatch
):
    (project / "flows/a.py").write_text(OWN)
    (project / "flows/b.py").write_text(HEAD + "@workflow\nasync def harmless(engine):\n    return 1\n")
    monkeypatch.delenv(FOLDERS)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "trusted"))
    trust = Trust(project, ".aegis.yaml")
    trust.accept(trust.look(), "tester")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("tdd-cycle")
        assert (await stage.end(run)).result == "ours"
        (project / "ran").unlink()
        (project / "flows/a.py").write_text(OWN + "Path('evil').touch()\n")
        for verb, args in (
            ("workflow list", {}), ("workflow run", {"name": "tdd_cycle"}), ("workflow replay", {"workflow_id": run}),
            ("workflow arguments", {"name": "tdd_cycle"}),
        ):  # fmt: skip
            with pytest.raises(Refused, match=r"flows/a\.py has changed"):
                await stage.call(verb, **args)
        assert (await stage.end(await stage.begin("harmless"))).result == 1, "the other file is as it was"
        (project / "ran").unlink()
        assert (await stage.end(await stage.begin("prompt", agent="coder", text="hello"))).status == "ok"
        assert not (project / "evil").exists() and not (project / "ran").exists()
        trust.accept(trust.look(), "tester")
        assert (await stage.end(await stage.begin("tdd_cycle"))).result == "ours"
