"""The README's commands work as they stand, with its own configuration; only the agents follow a script."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from walkthrough import Reader, steps
from workspace import ROOT

from aegis import Caller, open_kernel

PAGE = (ROOT / "README.md").read_text()
WRITTEN = "from limit import rate\n\n\ndef test_it():\n    assert rate() == 1\n"
SCRIPT = [
    {"when": "Write a test in", "do": [{"edit": "tests/test_rate_limit.py", "text": WRITTEN}, {"say": "It fails."}]},
    {"when": "Now make", "do": [{"edit": "limit.py", "text": "def rate():\n    return 1\n"}, {"say": "It passes."}]},
    {"do": [{"say": "I find nothing."}]},
]
CLAUDE = ("model", "effort")  # keys that only profiles of Claude Code have, or that ask for a model


def section(title: str) -> str:
    """Return what stands under a heading."""
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def scripted(text: str) -> dict:
    """Return the configuration with scripted agents in place of those that need an account, and nobody to ask."""
    config = YAML(typ="safe").load(text)
    for profile in config["agents"].values():
        for key in CLAUDE:
            profile.pop(key, None)
        profile |= {"provider": "scripted", "script": SCRIPT, "permission": "full"}
    config["budgets"]["unpriced"] = "allow"
    return config


@pytest.mark.timeout(120)
def test_every_command_of_working_together_works(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("test:\n\t@echo tested\n")
    (tmp_path / "conftest.py").touch()  # so that the folder is on pytest's path
    reader, heard = Reader(tmp_path, Path(sys.executable).parent), {}
    try:
        for kind, what, text in steps(section("Working together")):
            if kind == "file":
                with (tmp_path / what).open("w") as file:
                    YAML().dump(scripted(text), file)
            elif what.endswith("&"):
                up = reader.look(what, lambda _: "aegis runs in …")
                assert up.startswith("aegis runs in"), up
            else:
                said = reader.type(f"{what}; echo exit=$?")
                assert said.rstrip().endswith("exit=0"), f"$ {what}\n{said}"
                heard[" ".join(what.split()[1:3])] = said.removesuffix("exit=0\n")
    finally:
        reader.type("aegis stop")
        reader.close()
    assert [command for command, said in heard.items() if not said.strip()] == [], "they print something"
    assert heard["group wait-all"].count("I find nothing.") == 2
    assert "tested" in heard["term run"] and "project" in heard["budget list"]
    assert (tmp_path / "limit.py").is_file(), "the workflow has come to its end"


def plugin(title: str) -> types.ModuleType:
    """Return the module that is written out under a heading."""
    [code] = re.findall(r"^```python\n(.*?)^```", section(title), flags=re.MULTILINE | re.DOTALL)
    module = types.ModuleType("shown")
    exec(compile(code, "README.md", "exec"), vars(module))
    return module


async def test_the_verb_that_it_shows_is_one(tmp_path: Path) -> None:
    async with open_kernel(tmp_path, plugins={"dice": plugin("Write a verb")}, environment={}) as kernel:
        assert 1 <= await kernel.verbs.call(Caller("human", "ada"), "dice roll", {"sides": 3}) <= 3


async def test_the_driver_that_it_shows_drives(tmp_path: Path) -> None:
    async with open_kernel(tmp_path, plugins={"echo": plugin("Write a driver")}, environment={}) as kernel:
        agent = await kernel.roster.spawn("echo", "bo")
        receipt = await kernel.post.deliver(kernel.post.envelope("human:ada", agent.id, "good morning"))
        ended = await kernel.post.wait_turn(receipt.id)
        assert ended.outcome == "completed" and "good morning" in ended.reply
