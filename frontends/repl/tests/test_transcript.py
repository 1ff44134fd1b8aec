from hypothesis import given
from hypothesis import strategies as st

from aegis import events as e
from aegis_repl.render import LONGEST
from aegis_repl.transcript import Transcript


def plain(lines):
    return ["".join(text for _, text in line) for line in lines]


def told(*events):
    """Return what a transcript prints of these events, each in a batch of its own."""
    transcript = Transcript("human:anna")
    return [line for event in events for line in plain(transcript.add([event]))]


def test_chunks_of_one_message_are_one_line():
    assert told(e.Text("Hel", "m"), e.Text("lo", "m"), e.TurnEnded("completed", cost_usd=0)) == ["Hello", "── done ──"]


def test_the_line_being_said_is_live_until_it_is_complete():
    transcript = Transcript()
    assert transcript.add([e.Text("one\ntw")]) == [[("", "one")]]
    assert plain([transcript.live]) == ["tw"]
    assert plain(transcript.add([e.Text("o\n")])) == ["two"]
    assert transcript.live == []


def test_another_message_begins_another_line():
    assert told(e.Text("a", "1"), e.Text("b", "2"), e.Thought("c", "2"), e.TurnEnded("completed", cost_usd=0)) == [
        "a", "b", "", "c", "── done ──",
    ]  # fmt: skip


def test_events_that_show_nothing_do_not_break_a_line():
    assert told(e.Text("a"), e.Usage(1), e.SessionStarted("s"), e.Text("b\n")) == ["ab"]


def test_a_result_glues_to_its_tool_and_names_it_when_others_stand_between():
    assert told(
        e.ToolCall("1", "Read", locations=("a.py",)), e.ToolResult("1", "fine"),
        e.ToolCall("2", "Grep"), e.ToolCall("3", "Bash", "ls"), e.ToolResult("2", "x"), e.ToolResult("3", "y"),
    ) == [
        "⏺ Read(a.py)", "  └ ok fine", "⏺ Grep", "⏺ Bash(ls)", "⏺ Grep", "  └ ok x", "⏺ Bash(ls)", "  └ ok y",
    ]  # fmt: skip


def test_a_subagent_is_set_apart():
    lines = told(e.ToolCall("1", "Task"), e.Text("deep\n", parent="1"), e.ToolCall("2", "Read", parent="1"))
    assert lines == ["⏺ Task", "", "  │ deep", "", "  │ ⏺ Read"]


def test_a_line_without_end_is_broken_and_never_held_whole():
    transcript = Transcript()
    lines = [line for _ in range(10) for line in transcript.add([e.Text("x" * LONGEST)])]
    assert {len(text) for text in plain(lines)} == {LONGEST}
    assert len(plain([transcript.live])[0]) <= LONGEST


def test_a_sequence_split_between_chunks_is_shown_and_not_obeyed():
    assert told(e.Text("a\x1b["), e.Text("31mb\n")) == ["a\\x1b[31mb"]


@given(st.lists(st.text(alphabet="ab\n", max_size=6), max_size=12))
def test_however_it_is_cut_the_same_is_printed(chunks):
    whole = "".join(chunks).lstrip("\n")
    transcript = Transcript()
    lines = plain([line for chunk in chunks for line in transcript.add([e.Text(chunk)])])
    lines += plain([transcript.live]) if transcript.live else []
    assert lines == (whole.removesuffix("\n").split("\n") if whole else [])
