"""Text to sections and back; what is not written stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aegis import NotFound, Refused
from aegis_canvas.document import parse, render
from aegis_canvas.edits import appended, written
from aegis_canvas.headings import clean

LINES = st.sampled_from([
    "", " ", "\t", "words", "    indented", "## One", "## Two ##", "## Двa", "##", "##nothing", "# Title", "### deep",
    "Three", "---", "-----", "===", "```", "~~~", "```py", "<!--", "-->", "<div>", "> ## quoted", "- ## listed",
    "key: value", "...", "\\## not", "[a]: b", "\x0b", "\x0c## no", "\u2028## no", "\x00",
])  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Text as people, editors and fuzzers leave it."""
    lines = draw(st.lists(st.tuples(LINES, ENDS), max_size=25))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return bom + "".join(line + end for line, end in lines) + draw(LINES)


@pytest.mark.fuzz
@settings(deadline=None)
@given(st.one_of(texts(), st.text()))
def test_what_is_parsed_and_rendered_is_the_same(text: str) -> None:
    document = parse(text)
    assert render(document) == text
    assert len(set(document.names)) == len(document.names)


@pytest.mark.fuzz
@settings(deadline=None)
@given(texts(), st.text(max_size=30), st.data())
def test_writing_one_section_leaves_every_other_byte(text: str, content: str, data: st.DataObject) -> None:
    old = parse(text)
    assume(old.sections)
    name = data.draw(st.sampled_from(old.names))
    try:
        new = parse(render(written(old, name, content)))
    except Refused:
        return
    assert new.names == [n for n in old.names if n in new.names]
    assert [p.raw for p in new.parts if p.name != name] == [p.raw for p in old.parts if p.name != name]
    at = text.index(old.find(name).raw) if old.find(name).raw.strip() else None
    assert at is None or render(new).startswith(text[:at]) or text.count(old.find(name).raw) > 1


@pytest.mark.fuzz
@settings(deadline=None)
@given(texts(), st.text(max_size=30))
def test_a_new_section_leaves_everything_before_it(text: str, content: str) -> None:
    old = parse(text)
    assume("New" not in old.names)
    try:
        new = written(old, "New", content)
    except Refused:
        return
    assert render(new).startswith(text)
    assert new.names[-1] == "New"
    assert new.find("New").text == parse(render(new)).find("New").text


@pytest.mark.fuzz
@settings(deadline=None)
@given(texts(), st.sampled_from(["plain words", "two\nlines", "    code", "- list\n- more"]), st.data())
def test_what_is_written_is_read(text: str, content: str, data: st.DataObject) -> None:
    old = parse(text)
    assume(old.sections)
    name = data.draw(st.sampled_from(old.names))
    try:
        new = written(old, name, content)
    except Refused:
        return
    assert new.find(name).text == content


def names(text: str) -> list[str]:
    return parse(text).names


def test_sections_are_headings_of_the_second_level():
    assert names("# T\n\nhi\n\n## A\n\n### deep\n\nB\n---\n\n## C ##\n") == ["_preamble", "A", "B", "C"]


@pytest.mark.parametrize("text", [
    "```\n## no\n```\n", "~~~~\n## no\n~~~\n## no\n", "<!--\n## no\n-->\n", "    ## no\n", "> ## no\n",
    "- x\n\n  ## no\n", "##no\n", "\\## no\n", "## \n", "<pre>\n## no\n</pre>\n",
])  # fmt: skip
def test_what_only_looks_like_a_heading_is_none(text: str):
    assert names(text) == ["body"]


def test_any_language_makes_a_heading():
    assert names("## Größe & Maß\n## 計画\n## `code` *x*\n") == ["Größe & Maß", "計画", "`code` *x*"]
    assert clean("Gro\u0308ße   &  Maß") == "Größe & Maß"


def test_of_two_headings_that_say_the_same_the_second_has_a_number():
    assert names("## A\n## A\n## A (2)\n") == ["A", "A (2)", "A (2) (2)"]


def test_a_text_without_headings_is_its_body():
    assert names("just words\n") == ["body"]
    assert names("") == names("\n \n") == []


def test_front_matter_belongs_to_no_section():
    document = parse("---\ntitle: x\n## not: one\n---\n# T\n## A\n")
    assert document.names == ["_preamble", "A"]
    assert document.parts[0].raw == "---\ntitle: x\n## not: one\n---\n"
    assert render(written(document, "_preamble", "new")).startswith("---\ntitle: x\n## not: one\n---\nnew\n")
    assert names("---\n\nA\n---\n") == ["_preamble", "A"], "a rule is no front matter"


def test_the_files_line_ends_and_mark_are_kept():
    text = "\ufeff# T\r\n\r\n## A\r\n\r\nold\r\n\r\n## B\r\n\r\nstays"
    assert render(written(parse(text), "A", "one\ntwo")) == text.replace("old", "one\r\ntwo")
    assert render(written(parse(text), "B", "new")) == text.replace("stays", "new\r\n")


def test_empty_lines_around_a_section_are_kept():
    assert render(written(parse("## A\nold\n## B\n"), "A", "\n\nnew\n\n")) == "## A\nnew\n## B\n"
    assert render(written(parse("## A\n\n\nold\n\n\n## B\n"), "A", "new")) == "## A\n\n\nnew\n\n\n## B\n"


def test_an_underlined_heading_is_not_joined_to_what_is_written_before_it():
    assert names(render(written(parse("## A\n```\nx\n```\nTitle\n---\nb\n"), "A", "words"))) == ["A", "Title"]


def test_a_section_repeats_no_heading_of_its_own():
    assert render(written(parse("## A\n\nold\n"), "A", "## A\n\nnew\n")) == "## A\n\nnew\n"


def test_appending_joins_with_one_line_end():
    document = parse("## A\n\none\n\n## B\n")
    assert render(appended(document, "A", "two\n")) == "## A\n\none\ntwo\n\n## B\n"
    assert render(appended(parse(""), "A", "one")) == "## A\n\none\n"


def test_the_preamble_comes_first_and_the_body_alone():
    assert render(written(parse("## A\n"), "_preamble", "hello")) == "hello\n\n## A\n"
    assert render(written(parse("old\n"), "body", "new")) == "new\n"
    assert render(written(parse(""), "body", "new")) == "new\n"
    assert render(written(parse("words\n"), "A", "a")) == "words\n\n## A\n\na\n"
    with pytest.raises(Refused, match="'body' is for texts without headings; this one has: A"):
        written(parse("## A\n"), "body", "new")
    with pytest.raises(Refused, match="without headings the whole text is the section"):
        written(parse("words\n"), "_preamble", "new")


@pytest.mark.parametrize(("content", "why"), [
    ("text\n\n## Mine\n", "has headings of the first or second level \\('Mine'\\)"),
    ("Mine\n---\n", "has headings of the first or second level \\('Mine'\\)"),
    ("```\nleft open", "would swallow 'B'"),
    ("<!-- left open", "would swallow 'B'"),
])  # fmt: skip
def test_what_would_change_other_sections_is_refused(content: str, why: str):
    with pytest.raises(Refused, match=why):
        written(parse("## A\n\nold\n\n## B\n"), "A", content)


def test_a_section_cannot_be_added_into_a_block_that_is_left_open():
    with pytest.raises(Refused, match=r"'B' cannot be a heading here.*left open"):
        written(parse("## A\n```\nopen\n"), "B", "b")


def test_what_cannot_be_a_heading_is_refused():
    with pytest.raises(Refused, match="'C #' cannot be a heading"):
        written(parse("## A\n"), "C #", "b")


def test_a_section_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(NotFound, match=r"no section 'Gaols' \(sections: Goals, Data\). Did you mean 'Goals'"):
        parse("## Goals\n## Data\n").find("Gaols")


HEADINGS = {
    "##\nhidden\n": "untitled", "##   \nhidden\n": "untitled", "   ##\nhidden\n": "untitled",
    "## #\nhidden\n": "untitled",
    "# Two\nhidden\n": "Two", "Two\n===\nhidden\n": "Two", "   Two\n   ---\nhidden\n": "Two",
    "## Two ##\nhidden\n": "Two",
    "#\nhidden\n": "untitled", "##\tTwo\nhidden\n": "Two",
}  # fmt: skip
NO_HEADINGS = [
    "    ##\nhidden\n", "```\n##\n```\n", "<div>\n##\n</div>\n", "- ## x\n", "> ##\n", "##x\n", "\\## x\n",
    "####### x\n",
    "### deep\n", "~~~\n# x\n~~~\n", "<!--\n## x\n-->\n",
]  # fmt: skip


@pytest.mark.parametrize("heading", HEADINGS, ids=repr)
def test_what_a_reader_calls_a_heading_is_never_swallowed(heading: str) -> None:
    text = f"# Title\n\n## One\n\nfirst\n\n{heading}"
    document = parse(text)
    assert document.names == ["_preamble", "One", HEADINGS[heading]]
    assert render(written(document, "One", "new")) == f"# Title\n\n## One\n\nnew\n\n{heading}"
    assert document.find(HEADINGS[heading]).text == "hidden"
    assert render(written(document, HEADINGS[heading], "new")) == text.replace("hidden", "new")


@pytest.mark.parametrize("words", NO_HEADINGS, ids=repr)
def test_what_is_no_heading_is_a_part_of_its_section(words: str) -> None:
    document = parse(f"## One\n\nfirst\n\n{words}")
    assert document.names == ["One"]
    assert words.strip() in document.find("One").raw


def test_titles_before_the_first_section_are_its_preamble_and_alone_a_body() -> None:
    assert parse("# A\nx\n# B\ny\n").names == ["body"]
    assert parse("# A\nx\n# B\ny\n## C\n").names == ["_preamble", "C"]


def test_many_headings_of_one_name_are_told_apart_in_linear_time():
    names = parse("## a\n" * 30_000).names
    assert (names[0], names[1], names[-1]) == ("a", "a (2)", "a (30000)")
    assert parse("## a (2)\n## a\n## a\n## a\n").names == ["a (2)", "a", "a (3)", "a (4)"]
