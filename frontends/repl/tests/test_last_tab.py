"""The active tab is remembered, best effort."""

from __future__ import annotations

from aegis_repl.last_tab import LastTab


def test_what_is_kept_is_there_the_next_time(project):
    (project / ".aegis" / "state").mkdir(parents=True)
    assert LastTab(project).load() == ""
    LastTab(project).keep("01a")
    place = LastTab(project)
    assert place.load() == "01a"
    place.keep("")
    assert LastTab(project).load() == "01a", "that nobody is active is nothing to remember"


def test_a_damaged_file_and_a_missing_folder_cost_nothing(project):
    LastTab(project).keep("01a")
    (project / ".aegis" / "state").mkdir(parents=True)
    (project / ".aegis" / "state" / "repl.json").write_text("[1")
    assert LastTab(project).load() == ""
    (project / ".aegis" / "state" / "repl.json").write_text("[1]")
    assert LastTab(project).load() == ""
