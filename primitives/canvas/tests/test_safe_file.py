"""Where a canvas may lie, and that nothing leads elsewhere: not `..`, not a link, not a swap at the last moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from canvas_stage import ANNA, PLAN, Stage

from aegis import Refused
from aegis_canvas.safe_file import FileChanged, SafeFile, Unreadable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "docs").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret\n")
    (tmp_path / "root" / "docs" / "a.md").write_text("inside\n")
    return tmp_path / "root"


@pytest.mark.parametrize(
    "file",
    [
        "../secret.md",
        "docs/../../secret.md",
        "/etc/hostname",
        "docs/../../../" * 9 + "etc/hostname",
        "a/../../secret.md",
    ],
)
def test_no_path_leads_out(root: Path, file: str):
    (root / "a").mkdir()
    for step in (SafeFile(root, file).read, SafeFile(root, file).make, SafeFile(root, file).real):
        with pytest.raises(Refused, match="leads out of the project"):
            step()
    assert SafeFile(root, "docs/../docs/./a.md").read().text == "inside\n"
    assert SafeFile(root, str(root / "docs" / "a.md")).read().text == "inside\n"


@pytest.mark.parametrize("target", ["../secret.md", "../../secret.md", "{out}", "docs/up/../secret.md"])
def test_no_link_leads_out(root: Path, target: str):
    (root / "docs" / "up").symlink_to("../..")
    (root / "link.md").symlink_to(target.format(out=root.parent / "secret.md"))
    (root / "folder").symlink_to(root.parent)
    for file in ("link.md", "folder/secret.md", "docs/up/secret.md"):
        with pytest.raises(Refused, match="leads out of the project"):
            SafeFile(root, file).read()
        with pytest.raises(Refused, match="leads out of the project"), SafeFile(root, file).replacement(b"x", ".t", ""):
            pass
    assert (root.parent / "secret.md").read_text() == "secret\n"


def test_links_inside_are_followed_and_circles_found(root: Path):
    (root / "near.md").symlink_to("docs/a.md")
    (root / "far.md").symlink_to(root / "docs" / "a.md")
    (root / "round.md").symlink_to("round.md")
    assert SafeFile(root, "near.md").read().text == SafeFile(root, "far.md").read().text == "inside\n"
    assert SafeFile(root, "near.md").real() == root / "docs" / "a.md"
    with pytest.raises(Refused, match="lead back to themselves"):
        SafeFile(root, "round.md").read()


def test_a_folder_swapped_for_a_link_between_check_and_opening_leads_nowhere(root: Path):
    """The swap is made where it hurts: after the way was walked, before the file is replaced."""
    (root.parent / "a.md").write_text("outside\n")
    place = SafeFile(root, "docs/a.md")
    with place.replacement(b"mine\n", ".t", place.read().hash) as new:
        (root / "docs").rename(root / "was")
        (root / "docs").symlink_to("..")
        new.put()
    assert (root.parent / "a.md").read_text() == "outside\n"
    assert (root / "was" / "a.md").read_text() == "mine\n"
    with pytest.raises(Refused, match="leads out"):
        place.read()


def test_a_file_swapped_for_a_link_is_not_followed(root: Path):
    place = SafeFile(root, "docs/a.md")
    with place.replacement(b"mine\n", ".t", place.read().hash) as new:
        (root / "docs" / "a.md").unlink()
        (root / "docs" / "a.md").symlink_to(root.parent / "secret.md")
        with pytest.raises(FileChanged):
            new.put()
    assert (root.parent / "secret.md").read_text() == "secret\n"
    assert sorted(p.name for p in (root / "docs").iterdir()) == ["a.md"], "nothing is left beside it"


FLIP = """
import os, sys
real, path = sys.argv[1:]
while True:
    for make in (lambda n: os.symlink("../../secret.md", n), lambda n: os.link(real, n)):
        make(path + "~")
        os.replace(path + "~", path)
"""


def test_a_file_that_is_a_link_every_other_moment_never_shows_what_lies_outside(root: Path):
    path = root / "docs" / "flips.md"
    os.link(root / "docs" / "a.md", path)
    with subprocess.Popen([sys.executable, "-c", FLIP, str(root / "docs" / "a.md"), str(path)]) as flipping:
        try:
            seen: Counter[str] = Counter()
            until = time.monotonic() + 30
            # On a loaded machine the other process may get its turn late.
            while seen.total() < 4000 or (len(seen) < 2 and time.monotonic() < until):
                try:
                    seen[SafeFile(root, "docs/flips.md").read().text] += 1
                except (Refused, Unreadable):
                    seen["refused"] += 1
        finally:
            flipping.kill()
    assert seen.keys() == {"inside\n", "refused"}


def test_what_is_there_instead_of_a_folder_is_said(root: Path):
    with pytest.raises(Unreadable, match=r"a.md in its path is not a folder"):
        SafeFile(root, "docs/a.md/b.md").read()
    for file in ("docs", ".", ""):
        with pytest.raises(Unreadable):
            SafeFile(root, file).read()


@pytest.mark.parametrize("file", [
    ".aegis.yaml", ".aegis/state/x.md", ".aegis/queues/x.yaml", "docs/../.aegis/x.md", "state.md", "way/x.md",
    "same.md", ".AEGIS.yaml",
])  # fmt: skip
async def test_nobody_opens_what_is_aegis_own(stage: Stage, file: str):
    root = stage.kernel.project.root
    (root / "docs").mkdir()
    (root / ".aegis.yaml").write_text("{}\n")
    (root / "state.md").symlink_to(".aegis/state/note.md")
    (root / "way").symlink_to(".aegis")
    os.link(root / ".aegis.yaml", root / "same.md")
    with pytest.raises(Refused, match="belongs to aegis itself and cannot be a canvas"):
        await stage.call("open", name="x", file=file)
    assert await stage.call("list") == []


@pytest.mark.parametrize("file", [
    ".git/hooks/x.md", "docs/.hidden.md", "run.sh", "AGENTS.md", "docs/CLAUDE.md", "link.md", ".github/x.md",
    "requirements.txt", "CMakeLists.txt", "docs/requirements.txt",
])  # fmt: skip
async def test_an_agent_opens_documents_only_and_none_that_agents_obey(stage: Stage, file: str):
    (stage.kernel.project.root / "link.md").symlink_to("AGENTS.md")
    eve = await stage.agent("eve")
    with pytest.raises(Refused, match=r"agents may open .md, .markdown files that are not hidden"):
        await stage.call("open", eve, name="x", file=file)
    assert (await stage.call("open", name="x", file=file)).version == 1, "a person may"


@pytest.mark.parametrize("file", ["a\nb.md", "a\0.md", "a\u202eb.md", "a\u200b.md", "a\x1b[2J.md", "\t.md"])
async def test_a_file_whose_name_hides_something_is_no_canvas(stage: Stage, file: str):
    with pytest.raises(Refused, match="its name has characters that are not seen"):
        await stage.call("open", name="x", file=file)
    assert await stage.call("list") == [] and not list(stage.kernel.project.root.glob("*.md"))
    assert (await stage.call("open", name="x", file="Größe 計画.md")).version == 1


async def test_a_workflow_opens_no_more_than_the_agent_for_which_it_acts(stage: Stage):
    eve = stage.kernel.roster.caller(await stage.agent("eve"))
    with pytest.raises(Refused, match=r"agents may open .md, .markdown files that are not hidden"):
        await stage.call("open", eve.through("workflow"), name="x", file="run.sh")
    assert (await stage.call("open", ANNA.through("workflow"), name="x", file="run.sh")).version == 1


async def test_outside_is_for_those_who_allow_it(kernel_with, plugins, echo, project: Path, tmp_path: Path):
    (tmp_path / "notes.md").write_text(PLAN)
    async with kernel_with(**plugins) as kernel:
        with pytest.raises(Refused, match=r"unless a person sets plugins.canvas.outside: true"):
            await Stage(kernel, echo).call("open", name="plan", file="../notes.md")
    (project / ".aegis.yaml").write_text("plugins: {canvas: {outside: true}}\n")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.call("open", name="plan", file="../notes.md")
        await stage.write("Data", "Here.")
        assert (tmp_path / "notes.md").read_text() == PLAN.replace("None yet.", "Here.")
        for file in (".aegis.yaml", str(project / ".aegis" / "x.md")):
            with pytest.raises(Refused, match="belongs to aegis itself"):
                await stage.call("open", name="x", file=file)
