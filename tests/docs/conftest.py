"""Tests that ask for `page` run once for each page of the documentation and each README."""

from workspace import ROOT, members

ROOTS = [ROOT / "README.md", ROOT / "AGENTS.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
PAGES = sorted([*ROOTS, *(ROOT / "docs").rglob("*.md"), *(m.folder / "README.md" for m in members())])


def pytest_generate_tests(metafunc):
    """Hand every page to the tests that name one."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
