"""A page is followed as it stands: its files are written, its commands typed, and what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

BLOCK = re.compile(r"^```(yaml|toml|python|console|markdown)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^(?:# |<!-- )([\w./-]+\.\w+)(?: -->)?\n")
LOOKS = re.compile(
    r"aegis (read|sessions|canvas blame|events|message list|approvals list|task show|queue show|workflow show)|cat "
)
PATIENCE = 20.0  # seconds after which something that is looked for has not come


class Reader:
    """Somebody who follows the page in one shell, as it says; `programs` is the folder where `aegis` is found."""

    def __init__(self, folder: Path, programs: Path, more: Mapping[str, str] | None = None) -> None:
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {**(more or {})}
        environment |= {"HOME": str(folder), "PATH": f"{programs}:{environment['PATH']}"}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "-m"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
        )  # fmt: skip
        self.type("true")  # what bash says about a shell without a terminal is not on the page

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

    def look(self, command: str, expected: Callable[[str], str]) -> str:
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

    def follow(self, page: str, put: Callable[[str, str], None]) -> None:
        """Do all that the page says; raises `AssertionError` where it is not so. `put` writes a file."""
        numbers: dict[str, str] = {}
        for kind, what, text in steps(page):
            if kind == "file":
                put(what, text)
                continue
            command = replaced(what, numbers)
            said = self.look(command, partial(as_here, text, dict(numbers)))
            numbers |= learned(text, said)
            expected = replaced(text, numbers)
            assert matches(expected, said), f"$ {command}\n{said}\n-- the page says --\n{expected}"


def matches(expected: str, said: str) -> bool:
    """Return whether this is what the page says: `…` stands for anything within a line, alone for any lines."""
    lines = ("(?s:.*)" if line == "…" else ".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines())
    return re.fullmatch("\n".join(lines), "\n".join(map(str.rstrip, said.rstrip().splitlines()))) is not None


def learned(expected: str, said: str) -> dict[str, str]:
    """Return what the page's numbers are here: those that a line begins with."""
    rows = zip(expected.splitlines(), said.splitlines(), strict=False)
    firsts = ((e.split()[:1], s.split()[:1]) for e, s in rows)
    return {e[0]: s[0] for e, s in firsts if e and s and e[0].isdigit() and s[0].isdigit()}


def replaced(text: str, numbers: Mapping[str, str]) -> str:
    """Return the text with the page's numbers replaced, and columns of any width after those that lines begin with."""
    for page, here in numbers.items():
        text = re.sub(rf"^{page} +", f"{here} …", text, flags=re.MULTILINE)
        text = re.sub(rf"\b{page}\b", here, text)
    return text


def as_here(text: str, numbers: dict[str, str], said: str) -> str:
    """Return what the page says, with the numbers that are known and those that are just being said."""
    return replaced(text, numbers | learned(text, said))


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
