"""The files and functions that pages for maintainers name are there."""

import re
from pathlib import Path

import pytest
from workspace import ROOT, members

PAGES = sorted([*(ROOT / name for name in ("AGENTS.md", "CONTRIBUTING.md", "SECURITY.md")),
                *(ROOT / "docs").glob("explanation/*.md"), *(ROOT / "docs").glob("decisions/*.md")])  # fmt: skip
NAME = r"`(?![^`]*\.(?:py|json|yaml|toml)`)[\w.]+`"
PLACE = re.compile(rf"`(?P<file>[\w./-]+\.(?:py|json|yaml|toml))`(?P<names>: {NAME}(?:, {NAME})*)?")
PACKAGES = {m.package: m.source for m in members()}
FREE = {".aegis.yaml", "plugin.py", "settings.py", "verbs.py", "store.py", "service.py", "hookspecs.py", "testing.py",
        "profile.py", "wire.py", "translate.py", "driver.py", "opencode.json", ".mcp.json", ".claude.json",
        "package.json", "tests/test_contract.py"}  # fmt: skip


def files(text: str) -> list[tuple[str, Path | None, list[str]]]:
    """Return each named file with where it is, and the names that are said to be in it.

    A bare file name is in the folder of the last one that was named with its package.
    """
    found: list[tuple[str, Path | None, list[str]]] = []
    folder = ROOT
    for match in PLACE.finditer(text):
        name, names = match["file"], match["names"] or ""
        package, _, rest = name.partition("/")
        here = PACKAGES[package] / rest if package in PACKAGES and rest else ROOT / name
        if not rest and not here.exists():
            here = folder / name
        if not here.exists() and name in FREE:
            continue
        folder = here.parent
        found.append((name, here if here.is_file() else None, re.findall(r"`([\w.]+)`", names)))
    return found


def has(text: str, name: str) -> bool:
    """Return whether the source defines every part of `Class.method`, or sets a constant or field of that name."""
    return all(
        re.search(rf"^\s*(?:async def|def|class) {part}\b|^\s*{part}\b[^\n]*?[:=]|[,(] ?{part} = ", text, re.MULTILINE)
        for part in name.split(".")
    )


@pytest.mark.parametrize("naming", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(naming: Path) -> None:
    wrong = []
    for name, path, names in files(naming.read_text()):
        if path is None:
            wrong.append(name)
        else:
            wrong += [f"{name}: {part}" for part in names if not has(path.read_text(), part)]
    assert wrong == []


def test_the_look_sees_what_is_wrong() -> None:
    [one, two, three] = files("`aegis/mail.py`: `Post.deliver`, `Nobody`, `turn.py`, `aegis/nowhere.py`")
    assert one[1] and one[2] == ["Post.deliver", "Nobody"]
    source = one[1].read_text()
    assert has(source, "Post.deliver") and has(source, "SYSTEM") and not has(source, "Nobody")
    assert two[1] == PACKAGES["aegis"] / "turn.py" and three[1] is None
