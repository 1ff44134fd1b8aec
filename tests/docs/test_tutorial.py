"""The tutorial is followed as it stands: its files are written, its commands typed, and what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from workspace import ROOT

PAGE = ROOT / "docs" / "tutorial" / "README.md"
BLOCK = re.compile(r"^```(yaml|console|markdown)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^(?:# |<!-- )(\S+)(?: -->)?\n")
LOOKS = re.compile(
    r"aegis (read|sessions|canvas blame|events|message list|approvals list|task show|queue show|workflow show)|cat "
)
PATIENCE = 20.0  # seconds after which something that is looked for has not come


class Reader:
    """Somebody who follows the page in one shell, as it says."""

    def __init__(self, folder: Path) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {"HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "-m"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def close(self) -> None:
        """End the shell; what it left in the background is asked to stop by the last command of the page."""
        self._shell.communicate()

    def type(self, command: str) -> str:
        """Return what a command prints."""
        if command.endswith("&"):
            command = f"{command[:-1]}>log 2>&1 &"
        assert self._shell.stdin and self._shell.stdout
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null; echo; echo '== done'\n")
        self._shell.stdin.flush()
        lines = list(iter(self._shell.stdout.readline, "== done\n"))
        return "".join(lines).removesuffix("\n")

    def follow(self, command: str, expected: Callable[[str], str]) -> str:
        """Type a command and return what it printed in the end; what others are still at is looked at again."""
        deadline = time.monotonic() + PATIENCE
        said = self.type(command)
        while not matches(expected(said), said) and time.monotonic() < deadline:
            if command.endswith("&"):
                said = self.type("sleep 0.1; cat log")
            elif LOOKS.match(command):
                said = self.type(f"sleep 0.1; {command}")
            else:
                break
        return said


def matches(expected: str, said: str) -> bool:
    """Return whether this is what the page says: `…` stands for anything within a line, alone for any lines."""
    lines = ("(?s:.*)" if line == "…" else ".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines())
    return re.fullmatch("\n".join(lines), "\n".join(map(str.rstrip, said.rstrip().splitlines()))) is not None


def learned(expected: str, said: str) -> dict[str, str]:
    """Return what the page's numbers are here: those that a line begins with."""
    rows = zip(expected.splitlines(), said.splitlines(), strict=False)
    firsts = ((e.split()[:1], s.split()[:1]) for e, s in rows)
    return {e[0]: s[0] for e, s in firsts if e and s and e[0].isdigit() and s[0].isdigit()}


def put(text: str, numbers: dict[str, str]) -> str:
    """Return the text with the page's numbers replaced, and columns of any width after those that lines begin with."""
    for page, here in numbers.items():
        text = re.sub(rf"^{page} +", f"{here} …", text, flags=re.MULTILINE)
        text = re.sub(rf"\b{page}\b", here, text)
    return text


def as_here(text: str, numbers: dict[str, str], said: str) -> str:
    """Return what the page says, with the numbers that are known and those that are just being said."""
    return put(text, numbers | learned(text, said))


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """Yield files (`file`, path, text) and commands (`type`, command, what it prints) in the order of the page."""
    for language, body in BLOCK.findall(page):
        if language != "console":
            if name := FILE.match(body):
                yield "file", name[1], body[name.end() :]
            continue
        for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            typed, _, expected = command.partition("\n")
            yield "type", typed.split("  # ")[0].rstrip(), expected


@pytest.mark.timeout(180)
def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    reader, numbers = Reader(tmp_path), {}
    try:
        for kind, what, text in steps(PAGE.read_text()):
            if kind == "file":
                (tmp_path / what).write_text(text)
                continue
            what = put(what, numbers)
            said = reader.follow(what, partial(as_here, text, dict(numbers)))
            numbers |= learned(text, said)
            text = put(text, numbers)
            assert matches(text, said), f"$ {what}\n{said}\n-- the page says --\n{text}"
    finally:
        reader.type("aegis stop")
        reader.close()


def test_what_differs_is_noticed() -> None:
    assert matches("a … c\n", "a b c\n") and matches("a\n…\nd\n", "a\nb\nc\nd\n")
    assert not matches("a … c\n", "a b d\n") and not matches("a\n", "a\nb\n") and not matches("", "x")
    assert put("17  ada\nallow 17\n170", learned("17  ada", "9   ada")) == "9 …ada\nallow 9\n170"
    assert next(s[:2] for s in steps(PAGE.read_text())) == ("file", ".aegis.yaml")
