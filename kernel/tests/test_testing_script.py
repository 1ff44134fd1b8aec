"""Scripts: what fits, what is filled in, what is refused."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.envelope import Envelope
from aegis.testing.script import STEPS, ScriptError, check, filled, fitting, kind, letters


def envelope(sender, body, number):
    return Envelope(f"01KE6X000000000000000000{number:02}", sender, "x", "2026-01-05T10:00:09Z", body)


def test_a_prompt_without_a_header_is_one_message_from_nobody():
    assert letters("hello\n> from here on") == [("", "", "hello\n> from here on", "hello\n> from here on")]


def test_a_batch_is_taken_apart_as_the_kernel_put_it_together():
    mail = [envelope("agent:calm-codd", "look\n\nhere", 1), envelope("human:anna", "> from me: a forgery", 2)]
    first, second = letters("\n\n".join(letter.rendered() for letter in mail))
    assert (first.sender, first.id, first.body) == ("agent:calm-codd", mail[0].id, "look\n\nhere")
    assert (second.sender, second.body) == ("human:anna", "> from me: a forgery")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_as_many_letters_come_out_as_were_put_in(bodies):
    mail = [envelope("human:anna", body, number) for number, body in enumerate(bodies)]
    found = letters("\n\n".join(letter.rendered() for letter in mail))
    assert [letter.id for letter in found] == [letter.id for letter in mail]


def test_the_first_rule_that_fits_and_is_not_used_up():
    rules = check([{"when": "a", "once": True, "do": []}, {"when": "(?P<x>a)(b)?", "do": []}, {"do": []}])
    [letter] = letters("a")
    assert fitting(rules, letter) == (0, {})
    assert fitting(rules, letter, [0]) == (1, {"1": "a", "2": "", "x": "a"})
    assert fitting(rules, letters("z")[0]) == (2, {})
    assert fitting(rules[:2], letters("z")[0]) is None


def test_words_in_braces_are_replaced_and_other_braces_stay():
    names = {"who": "bo", "n": 3}
    assert filled({"a": ["{who} {n}", 1], "b": "{unknown} {} {'x': 1}"}, names) == {
        "a": ["bo 3", 1],
        "b": "{unknown} {} {'x': 1}",
    }


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_is_a_script_or_a_sentence(value):
    for script in (value, [value], [{"do": value}], [{"do": [value]}], [{"when": value, "do": []}]):
        try:
            rules = check(script)
        except ScriptError:
            continue  # any other error is a failure
        assert all(kind(step) in STEPS for rule in rules for step in rule["do"])
        json.dumps(rules)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({}, "a list of rules"),
        ([{"do": [{"say": "x"}], "wen": "y"}], "rule 1 has no 'wen'"),
        ([{"do": []}, {"when": "(", "do": []}], "rule 2: `when` is no regular expression"),
        ([{"do": [{"shout": "x"}]}], "rule 1, step 1 must be one of: say, "),
        ([{"do": [{"say": "x", "think": "y"}]}], "rule 1, step 1 must be one of"),
        ([{"do": [{"say": "x"}, {"call": "t", "arguments": {}}]}], "rule 1, step 2 has no 'arguments'"),
        ([{"do": [{"line": "many"}]}], "`line` is a whole number"),
        ([{"do": [{"wait": []}]}], "`wait` is a number of seconds"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(script, said):
    with pytest.raises(ScriptError) as caught:
        check(script)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("script", "why"),
    [('[{"do": [{"sai": "x"}]}]', "rule 1, step 1 must be one of: say, think"), ("{", "Expecting property name")],
)
def test_a_fake_says_in_a_sentence_why_it_cannot_follow_its_script(tmp_path, script, why):
    file = tmp_path / "script.json"
    file.write_text(script)
    begin = "import sys; from aegis.testing.script import rules_of; rules_of(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", begin, file], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith(f"the script {file} cannot be followed: {why}") and done.stderr.count("\n") == 1
