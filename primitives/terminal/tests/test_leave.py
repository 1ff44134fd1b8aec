"""Terminals while their plugin leaves and enters again, and while settings change: no process left, no record lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from terminal_stage import BO, Stage, until

import aegis_terminal.plugin
from aegis import NotFound, Refused
from aegis.testing.processes import runs
from aegis.testing.registries import owners


async def test_when_the_plugin_leaves_no_shell_is_left_and_each_run_has_an_end(stage: Stage):
    kernel, refused = stage.kernel, list[str]()
    await stage.spawn()
    await stage.call("subscribe", BO, name="build")
    background = int((await stage.run("sleep 600 & echo $!")).stdout.split()[-1])
    here = owners(kernel)
    [row] = await stage.call("list")

    async def run() -> None:
        with pytest.raises(Refused) as refusal:
            await stage.run("echo begun; sleep 600")
        refused.append(str(refusal.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await stage.shows("begun")
        await kernel.plugins.leave("terminal")
    assert "the terminal 'build' is closed" in refused[0]
    await until(lambda: not runs(row.pid) and not runs(background))
    assert "'terminal'" not in str(owners(kernel))
    assert "pty closed" in stage.bodies("human:bo")[-1]
    with pytest.raises(NotFound, match="there is no verb 'term list'"):
        await stage.call("list")

    await kernel.plugins.enter("terminal", aegis_terminal.plugin)
    await until(lambda: owners(kernel) == here)
    [row] = await stage.call("list")
    assert (row.state, row.runs) == ("closed", 2)
    assert str(row).endswith("(closed: aegis ended its shell; `term spawn build` opens a new shell in it)")
    last = (await stage.call("read", name="build"))[-1]
    assert (last.stderr, last.killed_by_restart, last.finished_at is None) == ("pty closed", False, False)
    with pytest.raises(Refused, match="is closed: aegis ended its shell; `term spawn build` opens a new shell in it"):
        await stage.run("true")
    await stage.spawn()
    assert (await stage.run("echo again")).seq == 2
    assert len(stage.bodies("human:bo")) == 3, "the subscription is still there"


async def write_settings(stage: Stage, project: Path, **section: object) -> None:
    """Give the section `plugins.terminal` these values, in force now."""
    file = project / ".aegis.yaml"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"plugins": {"terminal": section}}))
    await stage.kernel.config.refresh()


async def test_a_changed_section_counts_from_the_next_command_on(stage: Stage, project: Path):
    eve = await stage.agent("eve")
    await stage.spawn()
    assert await stage.said("echo INTERNAL-7", caller=eve) == (0, "INTERNAL-7\n")
    await write_settings(
        stage, project, shell="/bin/sh", timeout=0.2, redact=["INTERNAL-\\d"],
        policy=[{"match": "rm *", "answer": "deny"}],
    )  # fmt: skip
    assert await stage.said("echo INTERNAL-7", caller=eve) == (0, "[redacted]\n")
    with pytest.raises(Refused, match="the policy of this project refuses 'rm"):
        await stage.run("rm -rf x", eve)
    assert (await stage.call("run", name="build", cmd="sleep 600")).timed_out
    assert (await stage.call("spawn", name="other")).shell == "/bin/sh"
