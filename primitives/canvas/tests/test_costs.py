"""What a change costs, in counts: it depends on what is written, not on what else is there or who watches."""

from __future__ import annotations

import msgspec
import pytest
from canvas_stage import BO, Stage, settled

from aegis import Caller, Refused
from aegis_canvas.headings import counts
from aegis_canvas.store import Store
from aegis_ledger.book import encode
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


async def test_who_closes_a_canvas_at_once_still_has_its_last_change_told(stage: Stage) -> None:
    await stage.open(big(10))
    await stage.call("subscribe", name="plan")
    await stage.do("write", BO, name="plan", section="part 3", content="the last words")
    await stage.do("close", BO, name="plan")
    assert [body.splitlines()[-1] for body in stage.bodies()] == ["the last words"]


async def test_a_change_before_the_end_is_told_and_its_writer_is_not_told_that_it_was_cut_off(
    kernel_with, plugins, echo
) -> None:
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.open(big(10))
        await stage.call("subscribe", name="plan")
        await stage.do("write", BO, name="plan", section="part 3", content="the last words")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.read()
        await settled()
        assert [body.splitlines()[-1] for body in stage.bodies()] == ["the last words"]
        assert stage.bodies("human:bo") == []


async def test_a_snapshot_gives_the_same_canvas_also_one_of_before(stage: Stage) -> None:
    await stage.open(big(10))
    await stage.call("subscribe", name="plan")
    await stage.do("write", BO, name="plan", section="part 3", content="words")
    for former in (False, True):
        store = Store(stage.kernel)
        store.restore()
        [canvas] = store.canvases.values()
        snapshot = msgspec.json.decode(encode([canvas]))
        snapshot[0]["untold"] = []
        if former:
            snapshot[0]["parts"] = list(snapshot[0]["parts"].values())
        book = stage.kernel.ledger.book("canvas")
        last = await book.append("told", canvas.id, canvas="plan", n=2)
        book.snapshot(snapshot, last.seq)
        await book.append("told", canvas.id, canvas="plan", n=2)
        again = Store(stage.kernel)
        again.restore()
        canvas.untold = []
        assert again.canvases == store.canvases and canvas.parts["part 3"].lines == 1
