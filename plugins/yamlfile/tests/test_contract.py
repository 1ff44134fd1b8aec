"""A file is edited by many at once and keeps its comments; what is wrong in it is a sentence with its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_yamlfile.yamlfile import YamlFile, YamlFileError

COMMENTED = """\
# the team's agents

agents:
  fast:   # for small things
    provider: "claude"     # signed in
    effort: 'low'

# queues come last
queues:
  ci: {workers: 1}  # one is enough
"""


def test_the_place_of_a_key_is_its_line(tmp_path: Path) -> None:
    file = YamlFile(tmp_path / "x.yaml")
    document, _ = file.load("a:\n  b:\n    - x\n    - y: 1\n      z: 2\n")
    assert [file.line(document, w) for w in ([], ["a"], ["a", "b"], ["a", "b", 1], ["a", "b", 1, "z"], ["a", "q"])] == [
        1, 1, 2, 4, 5, 1,
    ]  # fmt: skip


_EDITOR = """
import sys
from pathlib import Path
from aegis_yamlfile.yamlfile import YamlFile

for n in range(5):
    YamlFile(Path(sys.argv[1])).edit(lambda d: d["queues"].update({f"q{sys.argv[2]}-{n}": {}}), lambda *_: None)
"""


def test_eight_editors_at_once_keep_all_their_changes(tmp_path: Path) -> None:
    path = tmp_path / ".aegis.yaml"
    path.write_text(COMMENTED)
    editors = [subprocess.Popen([sys.executable, "-c", _EDITOR, str(path), str(n)], env=os.environ) for n in range(8)]
    assert [editor.wait(timeout=50) for editor in editors] == [0] * 8
    queues = YamlFile(path).load()[1]["queues"]
    assert sorted(queues) == sorted(["ci", *(f"q{e}-{n}" for e in range(8) for n in range(5))])
    assert "# one is enough" in path.read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2\n", ":2: .*duplicate key"),
        ("- 1\n", ": the file must be a mapping"),
        ("a:\n\tb: 1\n", ":2: "),
    ],
)
def test_what_is_wrong_is_said_with_the_files_own_error(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    for error in (YamlFileError, KeyError):
        with pytest.raises(error, match=f"x.yaml{why}"):
            YamlFile(tmp_path / "x.yaml", error).load()
