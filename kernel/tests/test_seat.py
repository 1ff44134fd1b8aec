"""What the seat adds to the table of modes: what a driver knows better, verbs that ask, and the tools of the plane."""

import pytest

from aegis import Decision, DriverInfo, PermissionRequest
from aegis.seat import governed, prejudged


def ask(kind, *paths, tool="Tool", **more):
    return PermissionRequest("1", tool, kind, paths=paths, **more)


@pytest.fixture
def home(tmp_path):
    return tmp_path


def test_an_edit_of_a_delicate_file_is_no_mere_edit_to_write(home):
    asked = prejudged(ask("edit", ".git/config"), "write", home)
    assert (asked.kind, asked.presumed) == ("other", None)
    assert prejudged(ask("edit", ".git/config"), "auto", home).kind == "edit", "a rule may be about it"
    assert prejudged(ask("edit", "a.py"), "write", home).kind == "edit"


def test_what_a_driver_knows_better_is_kept(home):
    denied = Decision("denied", "so says its driver")
    assert prejudged(ask("execute", presumed=denied), "full", home).presumed == denied


def test_a_verb_of_aegis_that_asks_is_allowed_by_no_mode_and_denied_by_read(home):
    asks = ask("execute", verb="term run")
    assert prejudged(asks, "full", home).presumed is None
    assert prejudged(asks, "read", home).presumed.outcome == "denied"


def test_a_tool_of_the_plane_is_neither_a_command_of_that_name_nor_a_verb_that_asks():
    prefixes, tool = DriverInfo().plane, "mcp__aegis__dice_roll"
    assert governed(ask("other", tool=tool), prefixes, {"dice_roll"})
    assert not governed(ask("execute", tool=tool), prefixes, {"dice_roll"})
    assert not governed(ask("other", tool=tool, verb="dice roll"), prefixes, {"dice_roll"})
    assert not governed(ask("other", tool="mcp__aegis__rm"), prefixes, {"dice_roll"})
