"""What a change costs, in counts: it depends on what is written, not on what else is there or who watches."""

from __future__ import annotations

import pytest
from canvas_stage import BO, Stage, settled

from aegis import Caller, Refused
from aegis_canvas.headings import counts
from aegis_ledger.counts import Counts

FENCED = "```\n{}\n```\n\n- a list\n"


def big(sections: int) -> str:
    return "# Big\n\n" + "".join(f"## part {n}\n\nsome words\n\n" for n in range(sections))


async def spent(stage: Stage, text: str) -> tuple[Counts, int]:
    """Return what one write of this text asks of the ledger, and how many characters are parsed for it."""
    before, parsed = stage.kernel.ledger.counts.copy(), counts.parsed
    await stage.do("write", BO, name="plan", section="part 3", content=text)
    return stage.kernel.ledger.counts - before, counts.parsed - parsed


@pytest.mark.parametrize("sections", [10, 100, 999])
async def test_a_write_is_one_commit_and_parses_what_it_writes_however_many_sections_there_are(
    stage: Stage, sections: int
) -> None:
    await stage.open(big(sections))
    await settled()
    for text, parsed in (("plain words", 0), (FENCED.format("one"), 100), (FENCED.format("two"), 100)):
        ledger, characters = await spent(stage, text)
        assert (ledger.appends, ledger.commits, ledger.queries, ledger.asides) == (1, 1, 0, 0)
        assert ledger.rows == 2, "a text and a revision"
        assert ledger.written < 2_000
        assert characters <= parsed


@pytest.mark.parametrize("watchers", [1, 50])
async def test_all_who_watch_are_told_by_one_append_after_the_writer_is_answered(stage: Stage, watchers: int) -> None:
    await stage.open(big(10))
    for n in range(watchers):
        await stage.call("subscribe", Caller("human", f"w-{n}"), name="plan")
    await settled()
    ledger, _ = await spent(stage, "other words")
    assert (ledger.appends, ledger.commits) == (1, 1) and not stage.bodies("human:w-0")
    before = stage.kernel.ledger.counts.copy()
    await stage.mailed(1, f"human:w-{watchers - 1}")
    ledger = stage.kernel.ledger.counts - before
    assert (ledger.appends, ledger.rows) == (1, watchers + 1), "the letters, and that they were written"


async def test_a_text_that_is_hard_to_parse_is_parsed_in_another_process_and_for_so_long(stage: Stage) -> None:
    await stage.open(big(10))
    parsed = counts.parsed
    assert (await stage.write("part 3", "<a>\n\n" + "- a\n\n" * 2_000)).version == 2
    assert (await stage.read("part 4")).content == "some words"
    with pytest.raises(Refused, match=r"its headings cannot be found: it cannot be judged within 2 s"):
        await stage.write("part 4", "<a>\n\n" + "a\n\n- b\n" * 110_000)
    assert counts.parsed == parsed, "nothing of it was parsed here"
    assert (await stage.read("part 4")).content == "some words"


async def test_history_is_read_in_a_thread(stage: Stage) -> None:
    await stage.open(big(4))
    for n in range(5):
        await stage.write("part 3", f"line {n}")
    await settled()
    before = stage.kernel.ledger.counts.copy()
    for verb in ("blame", "log", "show"):
        assert await stage.call(verb, name="plan", section="part 3")
    ledger = stage.kernel.ledger.counts - before
    assert ledger.queries == 0 and ledger.asides > 0
