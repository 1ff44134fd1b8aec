"""The page of dependencies names every direct one, and no other."""

import re
import tomllib

from packaging.requirements import Requirement
from workspace import ROOT, members

PAGE = ROOT / "docs" / "decisions" / "dependencies.md"


def test_every_direct_dependency_has_a_line():
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    for member in members():
        project = member.toml["project"]
        extras = project.get("optional-dependencies", {}).values()
        lines = [*lines, *project["dependencies"], *(line for extra in extras for line in extra)]
    direct = {Requirement(line).name for line in lines}
    ours = {m.distribution for m in members()}
    rows = re.findall(r"^\| ([a-z][\w., -]*?) \|", PAGE.read_text(), re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")} - {"dependency"}
    assert named == direct - ours
