"""The tutorial of the first plugin is followed as it stands, in a clean environment; the finished plugin is kept."""

from pathlib import Path

import pytest
from walkthrough import Reader, steps
from workspace import ROOT

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(240)]
PAGE = ROOT / "docs" / "tutorial" / "first-plugin.md"
KEPT = ROOT / "docs" / "examples" / "decisions"
NEEDED = ("aegis-microkernel", "aegis-mcp", "aegis-cli", "aegis-inbox", "aegis-scripted")
TOOLS = ("pip", "hatchling", "editables", "pytest", "pytest-timeout", "hypothesis")
SOURCES = {".py", ".toml", ".md"}
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture
def neighbourhood(tmp_path: Path, clean) -> Path:
    """A folder in which `aegis/.venv` is an environment with aegis, as after `make ready` in a clone."""
    environment = clean(*NEEDED)
    environment.install(*TOOLS)
    (tmp_path / "aegis").mkdir()
    (tmp_path / "aegis" / ".venv").symlink_to(environment.bin.parent)
    return tmp_path


def test_the_page_leads_to_an_installed_plugin(neighbourhood: Path) -> None:
    reader = Reader(neighbourhood, neighbourhood / "aegis" / ".venv" / "bin", OFFLINE)

    def put(path: str, text: str) -> None:
        file = neighbourhood / "decisions" / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    try:
        reader.follow(PAGE.read_text(), put)
    finally:
        reader.type("aegis stop")
        reader.close()


def test_the_finished_plugin_is_kept() -> None:
    written = {what: text for kind, what, text in steps(PAGE.read_text()) if kind == "file"}
    kept = {p.relative_to(KEPT).as_posix(): p.read_text() for p in KEPT.rglob("*") if p.suffix in SOURCES}
    assert {name: text for name, text in written.items() if not name.startswith(".")} == kept
