"""The page on security tells what is: every test that it names is there, and no claim is without one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT

PAGE = ROOT / "docs" / "explanation" / "security.md"
TEST = re.compile(r"`([\w./-]+\.py)::(\w+)`")
CLAIM = re.compile(r"^### (\d)\. ", re.MULTILINE)


def found_in(path: Path) -> set[str]:
    """Return the names of the tests that pytest finds in this file."""
    body = list(ast.parse(path.read_text()).body) if path.is_file() else []
    for node in body:
        body += node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else []
    return {
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def missing(text: str) -> Iterator[str]:
    """Yield each test that the text names and that is not there."""
    for file, name in TEST.findall(text):
        if name not in found_in(ROOT / file):
            yield f"{file}::{name}"


def test_every_test_that_the_page_names_is_there() -> None:
    assert list(missing(PAGE.read_text())) == []


def test_each_attack_has_what_stops_it_and_a_test() -> None:
    attacks = PAGE.read_text().partition("\n## Attacks\n")[2].partition("\n## ")[0]
    rows = [line for line in attacks.splitlines() if line.startswith("|") and not line.startswith(("| attack", "|---"))]
    assert len(rows) > 100
    assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != 4 or not TEST.search(row)] == []


def test_no_claim_is_without_an_attack() -> None:
    page = PAGE.read_text()
    claims = re.findall(r"^(\d)\. ", page, re.MULTILINE)
    assert claims == list("1234567")
    assert CLAIM.findall(page) == claims[1:], "the first claim says whom the others are about"


def test_one_is_told_how_to_report() -> None:
    assert "(docs/explanation/security.md)" in (ROOT / "SECURITY.md").read_text()


def test_the_look_sees_what_is_not_there() -> None:
    here = "tests/docs/test_security.py"
    text = f"`{here}::test_no_claim_is_without_an_attack` `{here}::test_nothing` `tests/docs/none.py::test_x`"
    assert list(missing(text)) == [f"{here}::test_nothing", "tests/docs/none.py::test_x"]
