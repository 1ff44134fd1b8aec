"""The kernel is killed at every sync of its disk: file, history and mail are of one mind, and nothing said is lost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from canvas_crash import call, noted
from canvas_stage import told

import aegis_canvas.plugin
from aegis import Kernel, NotFound, open_kernel
from aegis.testing.crash import walk

SCENARIO = [sys.executable, str(Path(__file__).with_name("canvas_crash.py"))]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the crash harness works on Linux only")


def check(disk: Path, notes: Path) -> None:
    """Restart the kernel on what was left, twice, and hold it to its promises."""
    first = trio.run(recovered, disk, notes)
    assert trio.run(recovered, disk, notes) == first, "a second restart found something else"


async def recovered(disk: Path, notes: Path) -> Any:
    """Return what the canvas is after a restart."""
    async with open_kernel(disk, plugins={"canvas": aegis_canvas.plugin}, environment={}) as kernel:
        assert not kernel.faults, f"faults at start: {kernel.faults}"
        acks = list(noted(notes))
        try:
            page = await call(kernel, "anna", "read")
        except NotFound:
            assert not acks, "the canvas is lost"
            return None
        log = await call(kernel, "anna", "log", count=100)
        assert not [entry for entry in log if entry.by == "human"], f"aegis took its own write for a stranger's: {log}"
        assert page.content == (disk / "docs/plan.md").read_text() == (await call(kernel, "anna", "show")).content
        assert [p.name for p in (disk / "docs").iterdir()] == ["plan.md"], "something is left beside the file"
        for ack in acks:
            await _kept(kernel, ack, log)
        await told(kernel)
        mails = _mails(kernel)
        if any(ack.get("did") == "subscribed" for ack in acks):
            for version in {entry.version for entry in log} - {1}:
                times = sum(f"· version {version}\n" in body for body in mails)
                assert times == 1, f"version {version} was told {times} times"
        assert all(f"· version {n}\n" not in body for body in mails for n in range(len(log) + 2, 50))
        return page, log, mails


def _mails(kernel: Kernel) -> list[str]:
    return [letter.envelope.body for letter in kernel.post.letters("human:bo")]


async def _kept(kernel: Kernel, ack: dict[str, Any], log: list[Any]) -> None:
    if "token" not in ack:
        return
    assert any((entry.version, entry.section) == (ack["version"], ack["section"]) for entry in log), f"{ack} is lost"
    then = await call(kernel, "anna", "show", section=ack["section"], at=ack["version"])
    assert ack["token"] in then.content, f"{ack} says something else now"
    if ack["section"] == "All":
        now = await call(kernel, "anna", "read", section="All")
        assert now.content.splitlines().count(ack["token"]) == 1, f"{ack} was written over"


@pytest.mark.timeout(400)
def test_whichever_write_it_dies_at_nothing_said_is_lost_and_nothing_is_half_done() -> None:
    found = walk(SCENARIO, check)
    assert not found.failures, str(found)
    assert len(found.syncs) > 25, "the scenario writes less than it should"


@pytest.mark.timeout(120)
def test_the_walk_finds_a_file_that_is_not_synced() -> None:
    assert walk(SCENARIO, check, skip="*.canvas-new", enough=1).failures
