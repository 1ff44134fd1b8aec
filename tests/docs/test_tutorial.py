"""The tutorial is followed as it stands: its files are written, its commands typed, and what they print is compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from walkthrough import Reader, learned, matches, replaced, steps
from workspace import ROOT

PAGE = ROOT / "docs" / "tutorial" / "README.md"


@pytest.mark.timeout(180)
def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path, Path(sys.executable).parent)
    try:
        reader.follow(PAGE.read_text(), lambda path, text: (tmp_path / path).write_text(text))
    finally:
        reader.type("aegis stop")
        reader.close()


def test_what_differs_is_noticed() -> None:
    assert matches("a … c\n", "a b c\n") and matches("a\n…\nd\n", "a\nb\nc\nd\n")
    assert not matches("a … c\n", "a b d\n") and not matches("a\n", "a\nb\n") and not matches("", "x")
    assert replaced("17  ada\nallow 17\n170", learned("17  ada", "9   ada")) == "9 …ada\nallow 9\n170"
    assert next(s[:2] for s in steps(PAGE.read_text())) == ("file", ".aegis.yaml")
