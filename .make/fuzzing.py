"""Tests marked `fuzz`, again and again: a plugin of pytest that `make fuzz` loads.

Each round tries other examples. What has had the least time is next, so that a slow parser takes nothing from a quick
one. What failed is not tried again; Hypothesis keeps the example in `.hypothesis`, and the next run begins with it.
"""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

SECONDS = float(os.environ.get("AEGIS_FUZZ_SECONDS", "60"))
EXAMPLES = int(os.environ.get("AEGIS_FUZZ_EXAMPLES", "200"))  # of one round

spent: dict[str, float] = {}
rounds: dict[str, int] = {}


def pytest_configure() -> None:
    """Let every test that names no number of its own try as many examples as a round has."""
    settings.register_profile("fuzz", max_examples=EXAMPLES, print_blob=True)
    settings.load_profile("fuzz")


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run the items, the one with the least time first, until the time is over; each runs once at least."""
    if session.testsfailed or session.config.option.collectonly:
        return False
    left = {item.nodeid: item for item in session.items}
    spent.update(dict.fromkeys(left, 0.0))
    rounds.update(dict.fromkeys(left, 0))
    until = time.monotonic() + SECONDS
    while left and (time.monotonic() < until or not all(rounds[name] for name in left)):
        name = min(left, key=lambda name: spent[name])
        failed, began = session.testsfailed, time.monotonic()
        left[name].config.hook.pytest_runtest_protocol(item=left[name], nextitem=None)
        spent[name] += time.monotonic() - began
        rounds[name] += 1
        if session.testsfailed > failed:
            del left[name]
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each was tried."""
    terminalreporter.section("rounds and seconds of each")
    for name, seconds in sorted(spent.items(), key=lambda one: -one[1]):
        terminalreporter.line(f"{rounds[name]:5} {seconds:7.1f} s  {name}")
