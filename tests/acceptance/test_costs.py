"""What an operation costs with every plugin of the default set, in counts; and that no past makes it dearer.

Counts are the same on every machine. `pytest tests/acceptance/test_costs.py -s` prints the table.
"""

from __future__ import annotations

import json
import subprocess
import sys

import costed_kernel
import pytest
from costed_kernel import described

from aegis_claude.testing.quick import compiler

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="there is no C compiler"),
    pytest.mark.timeout(400),  # the first test runs every operation, line by line
]
FEW, MANY = 10, 2_000  # agents, turns, letters, tasks before, and sections

# What each operation may cost at most. They only fall: whoever makes something cheaper writes the new figure down.
# `calls` and `lines` have some to spare, and `commits`, `hops` and `opened` a few: what is written together, and when,
# is up to the system. `proc` is how often /proc is looked at, and depends on what else runs where strangers are asked.
BOUNDS = {
    "handoff": {
        "calls": 600, "lines": 10_000, "appends": 2, "commits": 4, "rows": 5, "written": 1_100, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 6, "opened": 6, "proc": 0, "settings": 8,
    },
    "enqueue": {
        "calls": 240, "lines": 2_700, "appends": 1, "commits": 1, "rows": 1, "written": 540, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 3, "opened": 2, "proc": 0, "settings": 6,
    },
    "task": {
        "calls": 1_700, "lines": 31_000, "appends": 5, "commits": 8, "rows": 15, "written": 3_000, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 10, "opened": 14, "proc": 6, "settings": 18,
    },
    "canvas write": {
        "calls": 160, "lines": 5_600, "appends": 1, "commits": 1, "rows": 2, "written": 440, "syncs": 2,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 6, "opened": 10, "proc": 0, "settings": 2,
    },
    "term run": {
        "calls": 275, "lines": 7_800, "appends": 2, "commits": 2, "rows": 2, "written": 460, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 3, "opened": 3, "proc": 0, "settings": 7,
    },
    "inbox": {
        "calls": 650, "lines": 5_300, "appends": 1, "commits": 1, "rows": 1, "written": 1_500, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 3, "opened": 3, "proc": 0, "settings": 1,
    },
    "spawn and close": {
        "calls": 720, "lines": 28_500, "appends": 2, "commits": 5, "rows": 4, "written": 260, "syncs": 0,
        "queries": 0, "asides": 0, "rows_read": 0, "markdown": 0, "hops": 8, "opened": 12, "proc": 6, "settings": 4,
    },
}  # fmt: skip
# What grows with what was there before, and should not: this only shrinks, too. All of it are walks over every agent:
# `Roster.live`, `Roster.known`, `Post.keep_only`, and `Directory._apply` when one is closed.
GROWS = {
    "task": {"lines"},
    "spawn and close": {"lines"},
}
SLACK = {"lines": 1_800, "calls": 40, "written": 40}  # to one line for each of what was there before it is far
_FEW_MORE = 4  # of everything else


@pytest.fixture(scope="module")
def measured() -> dict[int, dict[str, dict[str, int]]]:
    """The costs of each operation in two projects, by their size."""
    runs = {
        size: subprocess.Popen([sys.executable, costed_kernel.__file__, str(size)], stdout=subprocess.PIPE, text=True)
        for size in (FEW, MANY)
    }
    said = {size: run.communicate()[0] for size, run in runs.items()}
    assert not any(run.returncode for run in runs.values())
    found = {size: json.loads(text) for size, text in said.items()}
    for size, costs in found.items():
        print(f"\nwith {size:,} of everything before:\n{described(costs)}")
    return found


def test_each_operation_has_a_bound(measured):
    assert set(measured[FEW]) == set(BOUNDS)


@pytest.mark.parametrize("operation", BOUNDS)
def test_an_operation_costs_no_more_than_it_did(measured, operation):
    cost = measured[FEW][operation]
    over = {what: (cost[what], most) for what, most in BOUNDS[operation].items() if cost[what] > most}
    assert not over, f"{operation}: what it costs, and what it may: {over}"
    assert set(BOUNDS[operation]) == set(cost), "every figure has its bound"


@pytest.mark.parametrize("operation", BOUNDS)
def test_no_past_makes_an_operation_dearer(measured, operation):
    few, many = measured[FEW][operation], measured[MANY][operation]
    grown = {
        what: (figure, many[what])
        for what, figure in few.items()
        if many[what] > figure + SLACK.get(what, _FEW_MORE) and what not in GROWS.get(operation, ())
    }
    assert not grown, f"{operation}, with {FEW} and with {MANY:,} of everything before: {grown}"
