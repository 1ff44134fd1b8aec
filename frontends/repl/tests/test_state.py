import pytest

from aegis import Refused
from aegis import events as e
from aegis.bus import Batch
from aegis_repl import bars
from aegis_repl.state import State, View


def agent(name, state="idle", **more):
    face = {"id": f"01{name}", "handle": name, "profile": "opus", "model": "big", "permission": "full", "state": state}
    face |= {"reason": "", "session_id": "", "queued": 0, "cost_usd": 0.0, "notes": {}, "asking": []}
    return face | more


def opened(*agents):
    state = State(lambda: 100.0)
    state.load({"caller": "human:anna", "agents": list(agents), "default_agent": "opus"})
    return state


def plain(lines):
    return ["".join(text for _, text in line) for line in lines]


def fold(state, name, *events):
    lines, ring = state.fold(Batch(f"01{name}" if name else "", events))
    return plain(lines), ring


def change(state, name, /, **more):
    return fold(state, name, e.AgentChanged(agent(name, **more)))


def test_only_the_active_tab_is_printed_and_the_other_gets_a_star():
    state = opened(agent("a"), agent("b"))
    assert fold(state, "a", e.Text("one\n")) == (["one"], False)
    assert fold(state, "b", e.Text("two\n")) == ([], False)
    assert [face.unseen for face in state.view().tabs] == [False, True]
    assert plain(state.switch("01b")) == ["", "─── 2 b ·opus· ───", "two"]
    assert [face.unseen for face in state.view().tabs] == [False, False]


def test_the_bell_rings_for_another_tab_only():
    state = opened(agent("a"), agent("b"))
    assert fold(state, "a", e.TurnEnded("completed", cost_usd=0)) == (["── done ──"], False)
    assert fold(state, "b", e.TurnEnded("completed")) == ([], True)
    assert fold(state, "b", e.PermissionAsked("1", "Bash")) == ([], True)
    assert state.view().tabs[1].asks


def test_a_rename_keeps_the_tab_and_its_transcript():
    state = opened(agent("a"))
    fold(state, "a", e.Text("one\n"))
    lines, _ = fold(state, "a", e.AgentChanged(agent("a", handle="z-z")))
    assert lines == ["· a is now called z-z"]
    assert state.find("z-z") == "01a" and state.find("a") == ""


def test_closing_the_active_tab_leads_to_its_neighbour():
    state = opened(agent("a"), agent("b"), agent("c"))
    state.switch("01b")
    lines, _ = change(state, "b", state="closed", reason="closed by human:anna")
    assert lines == ["· b is closed: closed by human:anna", "", "─── 2 c ·opus· ───"]
    assert [face.handle for face in state.view().tabs] == ["a", "c"]
    change(state, "c", state="closed")
    change(state, "a", state="closed")
    assert state.view() == View() and state.active == ""


def test_a_new_agent_gets_a_tab_and_is_switched_to_when_awaited():
    state = opened(agent("a"))
    assert change(state, "b", state="starting")[0] == ["· b is here ·opus·"]
    assert state.active == "01a"
    assert state.switch("01c") == []  # spawned by this person, not seen yet
    assert change(state, "c", state="starting")[0] == ["", "─── 3 c ·opus· ───"]
    assert state.active == "01c"


def test_after_a_gap_the_tabs_are_what_the_snapshot_says():
    state = opened(agent("a", "working"), agent("b"))
    lines = plain(state.refresh({"agents": [agent("a", "idle"), agent("c")]}))
    assert lines == ["· c is here ·opus·", "· b is closed"]
    assert [(face.handle, face.state) for face in state.view().tabs] == [("a", "idle"), ("c", "idle")]


def test_what_became_of_each_agent_is_said_once_in_every_tab_that_is_seen():
    state = opened(agent("a", "stopped"), agent("b", "stopped"))
    change(state, "a", state="starting", began="")
    assert change(state, "a", state="idle", began="resumed")[0] == ["· a resumed"]
    assert change(state, "a", state="idle", began="resumed")[0] == []
    assert change(state, "b", state="idle", began="restarted with transcript")[0] == ["· b restarted with transcript"]
    assert change(state, "b", state="idle", began="new")[0] == []


def test_the_tab_of_the_last_time_is_active_if_its_agent_is_alive():
    state = State(lambda: 0.0)
    state.load({"agents": [agent("a"), agent("b")]}, active="01b")
    assert state.active == "01b"
    state = State(lambda: 0.0)
    state.load({"agents": [agent("a"), agent("b")]}, active="01c")
    assert state.active == "01a"


def test_a_failure_is_said_once():
    state = opened(agent("a", "working"))
    assert change(state, "a", state="failed", reason="exit code 1")[0] == ["✗ failed: exit code 1"]
    assert change(state, "a", state="failed", reason="exit code 1")[0] == []


def test_tokens_are_provisional_until_the_turn_ends():
    state = opened(agent("a"))
    fold(state, "a", e.TurnStarted("t"), e.Usage(input=10, cache_read=90, output=5))
    assert state.view().active.seen_tokens == 100
    fold(state, "a", e.TurnEnded("completed", usage=e.Usage(input=20, cache_read=180, output=9)))
    fold(state, "a", e.TurnStarted("t2"), e.Usage(input=1, output=1))
    face = state.view().active
    assert (face.seen_tokens, face.cached_tokens, face.said_tokens, face.since) == (201, 180, 10, 100.0)


def test_what_is_asked_is_known_from_the_snapshot_and_gone_when_answered():
    state = opened(agent("a", asking=[{"t": "PermissionAsked", "id": "r1", "tool": "Bash", "title": "ls"}]))
    assert state.view().question == "a asks to use Bash: ls"
    fold(state, "a", e.PermissionAnswered("r1", "allowed"))
    assert state.view().question == ""


def at_clock(*agents):
    """Return a state, and the list whose only value is its clock's time."""
    time = [100.0]
    state = State(lambda: time[0])
    state.load({"caller": "human:anna", "agents": list(agents), "default_agent": "opus"})
    return state, time


def test_questions_stand_in_order_and_each_answer_is_for_the_one_that_is_shown():
    state, _ = at_clock(agent("a"))
    fold(state, "a", *(e.PermissionAsked(str(n), "Bash", title=f"run {n}") for n in range(4)))
    assert state.view().question == "a asks to use Bash: run 0 (1 of 4)"
    lines = ["y", "a", "n not today", "n"]
    given = [state.answer(line) for line in lines]
    assert [(g.verb, g.args) for g in given] == [
        ("approvals allow", {"request": "0"}),
        ("approvals allow", {"request": "1", "always": True}),
        ("approvals deny", {"request": "2", "reason": "not today"}),
        ("approvals deny", {"request": "3"}),
    ]
    assert state.view().question == "" and not state.view().tabs[0].asks
    state.again("01a", "2")
    assert state.view().question == "a asks to use Bash: run 2"
    assert fold(state, "a", e.PermissionAnswered("1", "allowed", "allowed by human:anna"))[0] == [
        "  └ allowed by human:anna"
    ]


@pytest.mark.parametrize("line", ["yes please", "y why", "a bit", "nothing", " y", "hello", ""])
def test_what_is_no_answer_is_said(line):
    state, _ = at_clock(agent("a"))
    fold(state, "a", e.PermissionAsked("1", "Bash"))
    assert state.answer(line) is None
    assert state.view().question


def test_with_no_question_a_letter_is_a_letter():
    state, _ = at_clock(agent("a"))
    assert state.answer("y") is None


def test_a_question_answered_elsewhere_says_so_and_takes_no_answer_meant_for_it():
    state, time = at_clock(agent("a"))
    fold(state, "a", e.PermissionAsked("1", "Bash", title="ls"), e.PermissionAsked("2", "Bash", title="rm x"))
    time[0] += 5
    said = ["  └ denied by human:bob", "· no longer asked: Bash: ls (denied by human:bob)"]
    assert fold(state, "a", e.PermissionAnswered("1", "denied", "denied by human:bob"))[0] == said
    with pytest.raises(Refused, match="just changed: now it asks to use Bash: rm x"):
        state.answer("y")
    time[0] += 1
    assert state.answer("y").args == {"request": "2"}
    fold(state, "a", e.PermissionAnswered("2", "allowed"), e.PermissionAsked("3", "Bash", title="ls"))
    time[0] += 5
    fold(state, "a", e.PermissionAnswered("3", "expired", "nobody answered"))
    with pytest.raises(Refused, match=r"answers nothing any more: Bash: ls \(expired: nobody answered\)"):
        state.answer("n too late")
    assert state.answer("n too late") is None, "said again, it is meant for the agent"


def test_what_a_rule_answers_at_once_was_nobodys_question():
    state, _ = at_clock(agent("a"))
    fold(state, "a", e.PermissionAsked("1", "Bash"))
    assert fold(state, "a", e.PermissionAnswered("1", "allowed", "the rule x"))[0] == ["  └ allowed: the rule x"]
    assert state.answer("y") is None


def test_after_a_gap_the_questions_are_what_the_snapshot_says():
    state, _ = at_clock(agent("a"))
    fold(state, "a", e.PermissionAsked("1", "Bash"))
    state.refresh({"agents": [agent("a", asking=[{"t": "PermissionAsked", "id": "2", "tool": "Edit"}])]})
    assert state.view().question == "a asks to use Edit"


def test_mail_to_this_person_and_faults_of_the_kernel_are_shown_whatever_is_active():
    state = opened(agent("a"))
    mail = {"id": "1", "sender": "agent:a", "recipient": "human:anna", "at": "2026-01-05T10:00:00Z", "body": "hi"}
    news = Batch("human:anna", (e.Delivered(mail, 1),))
    assert plain(state.fold(news)[0]) == ["✉ from agent:a · 10:00:00Z → you", "  hi"]
    assert plain(state.fold(Batch("human:bob", (e.Delivered(mail),)))[0]) == []
    assert fold(state, "", e.Fault("x", "broke"))[0] == ["✗ x: broke"]


def test_tabs_are_found_by_number_and_handle_and_step_round():
    state = opened(agent("a"), agent("b"))
    assert [state.find(word) for word in ("1", "2", "3", "0", "b", "@b", "x")] == [
        "01a",
        "01b",
        "",
        "",
        "01b",
        "01b",
        "",
    ]
    assert [state.beside(1), state.beside(-1)] == ["01b", "01b"]


def bar(state, width):
    return "".join(text for _, text in bars.tabs(state.view(), width))


def test_the_tab_bar_shows_dots_and_marks():
    state = opened(agent("lucid-knuth"), agent("wry-hopper"))
    fold(state, "wry-hopper", e.Text("x"))
    assert bar(state, 80) == " ● 1 lucid-knuth ·opus·  ● 2 wry-hopper ·opus· *"
    fold(state, "wry-hopper", e.PermissionAsked("1", "Bash"))
    assert bar(state, 80).endswith("wry-hopper ·opus· ?")
    assert ("class:dot.idle", "● ") in bars.tabs(state.view(), 80)


def test_a_narrow_tab_bar_scrolls_to_the_active_tab():
    state = opened(*(agent(f"agent-{n}") for n in range(6)))
    for n in range(6):
        state.switch(f"01agent-{n}")
        assert len(bar(state, 40)) <= 40
        assert f"{n + 1} agent-{n}" in bar(state, 40)
    assert bar(state, 40).startswith("‹ ") and not bar(state, 40).endswith("›")


def test_the_status_line_leaves_out_what_does_not_fit():
    state = opened(agent("a", "working", queued=2, cost_usd=0.5))
    fold(state, "a", e.TurnStarted("t"), e.Usage(input=1000, cache_read=127_000, output=1200))
    full = "".join(text for _, text in bars.status(state.view(), 200, 165.0))
    assert full == " a ·opus·  big/full  working 1m05s  ✉ 2 queued  ↑128k (99% cached) ↓1.2k  $0.500"
    narrow = "".join(text for _, text in bars.status(state.view(), 40, 165.0))
    assert full.startswith(narrow) and len(narrow) <= 40


def test_the_unfinished_line_stands_above_the_prompt_and_never_fills_the_screen():
    state = opened(agent("a"))
    fold(state, "a", e.Text("word " * 500 + "end"))
    above = "".join(text for _, text in bars.above_prompt(state.view(), 40, 0))
    assert above.startswith("…") and above.endswith("end\na › ")
    assert len(above) <= 40 * bars.LIVE_ROWS + len("\na › ")


def test_with_no_agent_the_bars_say_how_to_get_one():
    assert "Ctrl+T" in bar(opened(), 40)
    assert "/spawn" in "".join(text for _, text in bars.status(View(), 40, 0))


def test_only_mail_for_a_busy_agent_is_said_to_wait():
    mail = {"id": "1", "sender": "human:anna", "recipient": "01a", "at": "2026-01-05T10:00:00Z", "body": "hi"}
    shown = [
        fold(opened(agent("a", state=state)), "a", e.Delivered(mail, 1))[0]
        for state in ("idle", "stopped", "working", "starting")
    ]
    assert shown == [["› hi"], ["› hi"], ["› hi  · waits, 1 in line"], ["› hi  · waits, 1 in line"]]


def test_a_turn_that_was_seen_is_not_recalled():
    state = opened(agent("a", session_id="s"), agent("b", session_id="s"))
    change(state, "b", session_id="s", state="working")
    fold(state, "a", e.Text("one\n"))
    assert [tab.unread for tab in state.tabs.values()] == [False, True]


def test_one_reason_is_said_once():
    state = opened(agent("a"))
    why = "cannot start 'claude'"
    assert change(state, "a", state="stopped", reason=why)[0] == [f"✗ stopped: {why}"]
    assert change(state, "a", state="failed", reason=why)[0] == []
