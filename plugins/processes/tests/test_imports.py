"""Imports beside other work."""

import gc
import subprocess
import sys
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aegis_processes.imports import foreground, imported

# `aegis_a` is being imported as the process begins to end; `aegis_b`, which comes after it, would be the next module.
ENDING = """
import sys, threading, trio
from pathlib import Path
from aegis_processes import imports

Path("aegis_a.py").write_text(
    "import __main__; __main__.begun.set(); __main__.imports._ending.wait(); import aegis_b"
)
Path("aegis_b.py").write_text("print('aegis_b was imported')")
begun = threading.Event()
sys.path.insert(0, "")

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(imports.imported, "aegis_a")
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()

trio.run(main)
print("ended")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module with this text, and return its name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(text):
        name = f"aegis_heavy_{tmp_path.name}_{len(made)}"
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


async def test_a_module_is_imported_once_in_another_thread(module):
    name = module("import threading, gc\nthread, collects = threading.get_ident(), gc.isenabled()")
    found = await imported(name)
    assert found is sys.modules[name] is await imported(name)
    assert found.thread != threading.get_ident()
    assert not found.collects
    assert gc.isenabled()


async def test_what_a_person_waits_for_comes_first(module):
    name = module("")
    foreground.begins()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(imported, name)
        await wait_all_tasks_blocked(0.05)
        assert name not in sys.modules
        foreground.is_there()
    assert name in sys.modules


async def test_an_import_that_nobody_wants_any_more_does_not_begin(module):
    name = module("")
    foreground.begins()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(imported, name)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    foreground.is_there()
    await imported(module("x = 1"))
    assert name not in sys.modules


async def test_a_module_that_fails_says_so_and_the_next_one_comes(module):
    with pytest.raises(ZeroDivisionError):
        await imported(module("1 / 0"))
    assert gc.isenabled()
    assert (await imported(module("x = 1"))).x == 1


def test_a_process_that_ends_does_not_import_the_rest(tmp_path):
    command = [sys.executable, "-c", ENDING]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)
