"""A text of which only what changed is parsed is the same as one that is parsed whole."""

from __future__ import annotations

from unittest.util import safe_repr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aegis import Refused
from aegis_canvas.document import Document, parse, render
from aegis_canvas.edits import appended, written
from aegis_canvas.headings import headings, judged

LINES = st.sampled_from(
    [
        "",
        "",
        " ",
        "\t",
        "words",
        "more words'",
        "    indented",
        "## One",
        "## Two ##",
        "## One",
        "##",
        "##nothing",
        "# Title",
        "### deep",
        "   ## in",
        " # in",
        "Three",
        "---",
        "-----",
        "===",
        "   ---",
        "```",
        "~~~",
        "```py",
        "   ```",
        "````",
        "<!--",
        "-->",
        "<div>",
        "</div>",
        "<pre>",
        "</pre>",
        "<?x",
        "?>",
        "<![CDATA[",
        "]]>",
        "<b>",
        "> ## quoted",
        "> ```",
        "> quoted",
        ">",
        "- ## listed",
        "- item",
        "  - nested",
        "- ```",
        "  ```",
        "-",
        "1. first",
        "   third",
        "10) ten",
        "* * *",
        "***",
        "key: value",
        "...",
        "\\## not",
        "[a]: b",
        "[a]:",
        "[a]: b 'title",
        "'title",
        "[a]: b '",
        "#hash",
        "\x0b",
        "\x0c## no",
        "\u2028## no",
        "\x00",
        "\ufeff",
        "- - - - - - - - - - - - x",
        ">>>>>>>>>>>>>>>>>>>>>>>> x",
        "\t- x",
        "- \t## y",
        "## A #",
        "## B#",
        "`##`",
        "==",
        "--",
        "- ---",
        "| - | - |",
    ]
)
ENDS = st.sampled_from(["\n"] * 6 + ["\r\n", "\r"])


@st.composite
def texts(draw: st.DrawFn, most: int = 25) -> str:
    """Text as people, editors and fuzzers leave it."""
    lines = draw(st.lists(LINES, max_size=most))
    end, bom = draw(ENDS), draw(st.sampled_from(["", "", "", "\ufeff", "---\na: b\n---\n", "---\na: b\n"]))
    return bom + "".join(line + end for line in lines) + draw(st.sampled_from(["", "words", "## Last", "```"]))


@pytest.mark.fuzz
@settings(deadline=None)
@given(texts(40))
@example("- x\n   ## no\n## Yes\n")
@example("[a]: b\n'Title\n===\nmore'\n## B\n")
def test_the_headings_of_a_text_cut_in_pieces_are_those_of_the_whole(text: str) -> None:
    assert headings(text) == judged(text)


@pytest.mark.fuzz
@settings(deadline=None)
@given(texts(), st.lists(st.tuples(texts(6), st.integers(0, 20), st.booleans()), min_size=1, max_size=4))
@example("---\na: b\n---\rwords\r## Last", [("", 0, False)])
@example("a\n## A\rwords\n## B\n", [("", 1, False)])
@example("[a]: b\n\n## A\n\n[a]: b\n'Title\n===\nx\n", [("more'", 2, False)])
@example("## A\n[a]: b '\n#hash\n---\nx\n", [("more'", 1, False)])
def test_a_document_that_changes_by_section_is_the_same_as_one_parsed_anew(text: str, steps: list) -> None:
    document = parse(text)
    for content, at, adds in steps:
        names = [*document.names, "New", "_preamble", "Other one", "C #", "body"]
        name = names[at % len(names)]
        try:
            document = (appended if adds else written)(document, name, content)
        except Refused:
            continue
        fresh = Document(parse(render(document)).parts)
        assert document.parts == fresh.parts, safe_repr(render(document))
        assert document.places == fresh.places
