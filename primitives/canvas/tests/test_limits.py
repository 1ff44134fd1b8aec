"""A canvas has so many sections; one with more is set aside, and nobody waits for it."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from canvas_stage import Stage

from aegis import Refused
from aegis_canvas.document import parse, render


def many(count: int, words: str = "words") -> str:
    return "# Big\n\n" + "".join(f"## part {n}\n\n{words}\n\n" for n in range(count))


async def few(stage: Stage) -> None:
    """Set the limit to five sections."""
    root = stage.kernel.project.root
    text = (root / ".aegis.yaml").read_text() if (root / ".aegis.yaml").exists() else ""
    (root / ".aegis.yaml").write_text(text + "plugins: {canvas: {max_sections: 5}}\n")
    await stage.kernel.config.refresh()


async def test_the_section_after_the_last_is_refused_with_the_settings_name(stage: Stage) -> None:
    await few(stage)
    await stage.open(many(4))  # what stands before the first heading is one, too
    with pytest.raises(
        Refused, match=r"plan has 6 sections \(plugins.canvas.max_sections is 5\); write into a section"
    ):
        await stage.write("one more", "x")
    await stage.write("part 3", "this one is there")


async def test_a_file_with_too_many_is_not_opened(stage: Stage) -> None:
    await few(stage)
    with pytest.raises(Refused, match=r"plan.md cannot be a canvas: it has 11 sections"):
        await stage.open(many(10))
    await stage.open(many(2))


async def test_a_file_that_grew_outside_is_set_aside_and_comes_back(stage: Stage) -> None:
    await few(stage)
    await stage.open(many(3))
    bob = await stage.agent("bob", watches=True)
    stage.plan.write_text(many(100))
    with pytest.raises(Refused, match=r"has 101 sections \(plugins.canvas.max_sections is 5\)"):
        await stage.read()
    stage.plan.write_text(many(4))
    assert "part 3" in (await stage.read()).content
    assert stage.heard(bob)


async def test_ten_thousand_sections_are_refused_by_default(stage: Stage) -> None:
    with pytest.raises(Refused, match=r"10,001 sections \(plugins.canvas.max_sections is 1,000\)"):
        await stage.open(many(10_000))


async def test_a_notice_tells_of_so_many_sections(stage: Stage) -> None:
    await stage.open(many(200))
    bob = await stage.agent("bob", watches=True)
    stage.plan.write_text(many(200, "other words"))
    await stage.read()
    await trio.testing.wait_all_tasks_blocked()
    [notice] = stage.heard(bob)
    assert notice.count("edited by") == 50 and notice.endswith("… and 150 more sections")


def test_thousands_of_headings_with_the_same_name_have_names_of_their_own() -> None:
    text = "## same\n\n" * 3_000
    document = parse(text)
    assert len(set(document.names)) == 3_000 and document.names[-1] == "same (3000)"
    assert render(document) == text
