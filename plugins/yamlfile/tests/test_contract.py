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


LONG = {
    "more than 1,000,000 bytes": "# " + "x" * 1_000_000,
    "more than 1,000,000 bytes ": "# " + "é" * 600_000,
    "more than 20,000 lines": "".join(f"k{n}: 1\n" for n in range(30_000)),
    "50 levels": "a: " + "[" * 20_000,
    "50 levels ": "a: " + "{b: " * 100_000,
    "50 levels  ": "\n".join(" " * n + f"k{n}:" for n in range(400)) + " 1",
    "more than 50000 values": "a: [" + "1," * 300_000 + "]",
}


@pytest.mark.parametrize("why", LONG)
def test_what_is_too_much_is_refused_before_it_is_parsed(tmp_path: Path, why: str) -> None:
    (tmp_path / "x.yaml").write_text(LONG[why], encoding="utf-8")
    with pytest.raises(YamlFileError, match=f"x.yaml: .*{why.strip()}"):
        YamlFile(tmp_path / "x.yaml").load()


def test_a_type_that_is_said_is_taken(tmp_path: Path) -> None:
    file = YamlFile(tmp_path / "x.yaml")
    text = "a: !!str 8080\nb: !!int '5'\nc: !!float 3\nd: !!str\ne: !!str yes\nf: [!!str 1, !!bool 'true']\n"
    assert file.load(text)[1] == {"a": "8080", "b": 5, "c": 3.0, "d": "", "e": "yes", "f": ["1", True]}
    with pytest.raises(YamlFileError, match="there is no type '!foo' here; leave it out"):
        file.load("a: !foo x\n")


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match="has half a surrogate pair at 1, which is no character"):
        YamlFile(tmp_path / "x.yaml").load('a: "x\\ud83d"\n')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\na: 2\n", ":2: .*duplicate key"),
        ("- 1\n", ": the file must be a mapping"),
        ("a:\n\tb: 1\n", ":2: "),
        ("? - -\n", ": a key is a list or a mapping; keys are words"),
        ("? : -\n", ": a key is a list or a mapping; keys are words"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_own_error(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    for error in (YamlFileError, KeyError):
        with pytest.raises(error, match=f"x.yaml{why}"):
            YamlFile(tmp_path / "x.yaml", error).load()
