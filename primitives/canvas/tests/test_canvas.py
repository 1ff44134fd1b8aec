"""What becomes of a canvas through its verbs."""

from __future__ import annotations

import stat

import pytest
import trio
from canvas_stage import ANNA, BO, PLAN, Stage, settled, until

from aegis import Caller, NotFound, Refused


async def test_a_canvas_is_opened_once_with_its_file_and_then_by_name(stage: Stage):
    view = await stage.call("open", name="plan", file="docs/new/plan.md")
    assert (view.file, view.version, view.sections) == ("docs/new/plan.md", 1, [])
    assert (stage.kernel.project.root / "docs/new/plan.md").read_bytes() == b""
    assert await stage.call("open", name="plan") == await stage.call("open", name="plan", file="./docs/new/plan.md")
    with pytest.raises(Refused, match=r"the canvas 'plan' is docs/new/plan.md; take another name for other.md"):
        await stage.call("open", name="plan", file="other.md")
    with pytest.raises(Refused, match="is open already, as the canvas 'plan'"):
        await stage.call("open", name="again", file="docs/../docs/new/plan.md")
    with pytest.raises(
        NotFound,
        match=r"no canvas 'paln' \(canvases: plan\); open it first: canvas open paln FILE.*Did you mean 'plan'",
    ):
        await stage.call("read", name="paln")
    with pytest.raises(Refused, match="cannot be a canvas's name"):
        await stage.call("open", name="../x", file="x.md")


async def test_what_is_written_is_in_the_file_and_nothing_else_changed(stage: Stage):
    await stage.open()
    done = await stage.write("Data", "Q3 came in.\nStronger.")
    assert stage.plan.read_text() == PLAN.replace("None yet.", "Q3 came in.\nStronger.")
    assert (done.ok, done.canvas, done.section, done.op, done.writer) == (True, "plan", "Data", "write", "human:anna")
    assert (done.added, done.removed, done.version) == (2, 1, 2)
    assert (await stage.read("Data")).content == "Q3 came in.\nStronger."
    assert (await stage.read()).content == stage.plan.read_text()
    [plan] = await stage.call("list")
    assert [(s.name, s.lines, s.last_writer, s.version) for s in plan.sections] == [
        ("_preamble", 1, "", 1), ("Goals", 1, "", 1), ("Data", 2, "human:anna", 2),
    ]  # fmt: skip


async def test_to_say_the_same_again_changes_nothing(stage: Stage):
    await stage.open()
    await stage.call("subscribe", BO, name="plan")
    done = await stage.write("Goals", "Ship it.\n")
    assert (done.version, done.added, done.removed) == (1, 0, 0)
    assert "has this text already" in str(done)
    assert stage.mail("human:bo") == []


async def test_mode_and_symbolic_link_stay(stage: Stage):
    root = stage.kernel.project.root
    (root / "real").mkdir()
    (root / "real" / "p.md").write_text(PLAN)
    (root / "real" / "p.md").chmod(0o640)
    (root / "plan.md").symlink_to("real/p.md")
    await stage.call("open", name="plan", file="plan.md")
    await stage.write("Data", "Here.")
    assert stage.plan.is_symlink()
    assert stat.S_IMODE((root / "real" / "p.md").stat().st_mode) == 0o640
    assert "Here." in (root / "real" / "p.md").read_text()
    assert [p.name for p in (root / "real").iterdir()] == ["p.md"], "nothing is left beside it"


async def test_subscribers_are_told_and_the_writer_is_not(stage: Stage):
    await stage.open()
    writer = await stage.agent("researcher", watches=True)
    await stage.call("subscribe", name="plan")
    await stage.read("Data", writer)
    await stage.write("Data", "\n".join(f"line {n}" for n in range(18)), writer)
    [letter] = stage.mail()
    assert letter.splitlines()[0].startswith("> from canvas:plan · 2026-")
    assert stage.bodies() == [
        'section "Data" · written by agent:researcher (+18 / -1 lines) · version 2\n──\n'
        + "\n".join(f"line {n}" for n in range(6))
        + "\n… (12 more lines)"
    ]
    await stage.call("append", writer, name="plan", section="Data", text="the\nend")
    await stage.write("Data", "", writer)
    assert stage.bodies()[1:] == [
        'section "Data" · appended by agent:researcher (+2 lines) · version 3\n──\nthe\nend',
        'section "Data" · written by agent:researcher (+0 / -20 lines) · version 4\n──\n(empty)',
    ]
    await settled()
    assert stage.heard(writer) == []


async def test_the_lines_are_counted_from_a_true_difference(stage: Stage):
    await stage.open("## A\n\none\ntwo\nthree\n")
    done = await stage.write("A", "one\n2\nthree\nfour")
    assert (done.added, done.removed) == (2, 1)


async def test_one_may_watch_only_some_sections(stage: Stage):
    await stage.open()
    done = await stage.call("subscribe", name="plan", sections=("Goals",))
    assert (done.ok, done.subscribers) == (True, ["human:anna"])
    await stage.write("Data", "x", BO)
    await stage.write("Goals", "y", BO)
    assert [body.split(" · ")[0] for body in stage.bodies()] == ['section "Goals"']
    assert (await stage.call("unsubscribe", name="plan")).subscribers == []
    await stage.write("Goals", "z", BO)
    assert len(stage.bodies()) == 1


async def test_a_subscription_is_the_agents_whatever_its_name_and_ends_with_it(stage: Stage):
    await stage.open()
    agent = await stage.agent("old-name", watches=True)
    await stage.kernel.roster.rename(agent, "new-name")
    await stage.write("Data", "x")
    await settled()
    assert len(stage.heard(agent)) == 1
    [plan] = await stage.call("list")
    assert plan.subscribers == ["new-name"]
    await stage.call("claim", agent, name="plan", section="Data")
    await stage.kernel.roster.close(agent)
    [plan] = await stage.call("list")
    assert plan.subscribers == []
    assert [s.claimed_by for s in plan.sections] == ["", "", ""]
    await stage.write("Data", "y")
    assert stage.kernel.post.letters(agent.id) == []


async def test_an_agent_that_was_closed_while_nobody_looked_has_nothing_left(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.open()
        agent = await stage.agent("eve", watches=True)
        await stage.call("claim", agent, name="plan", section="Data")
    async with kernel_with(echo=echo) as kernel:
        await kernel.roster.close(kernel.roster.find("eve"))
    async with kernel_with(**plugins) as kernel:
        again = Stage(kernel, echo)
        with trio.fail_after(10):  # what is on disk is in the canvas a moment later
            while (plan := (await again.call("list"))[0]).subscribers:
                await settled()
        assert [s.claimed_by for s in plan.sections] == ["", "", ""]


async def test_a_stale_write_to_the_same_section_is_refused_with_what_is_there(stage: Stage):
    await stage.open()
    version = (await stage.read("Goals")).version
    await stage.write("Goals", "Ship it on Monday.", BO)
    with pytest.raises(Refused) as refused:
        await stage.write("Goals", "Ship it never.", version=version)
    sentence, data = str(refused.value), refused.value.data
    assert 'section "Goals" of plan was changed since version 1, by human:bo at ' in sentence
    assert "-Ship it.\n+Ship it on Monday." in sentence
    assert "It reads now:\nShip it on Monday.\nNothing was written" in sentence
    assert (data["current"], data["version"], data["writer"]) == ("Ship it on Monday.", 2, "human:bo")
    assert "+Ship it on Monday." in data["diff"]
    assert (await stage.read("Goals")).content == "Ship it on Monday."
    assert (await stage.write("Goals", "Ship it never.", version=2)).version == 3


async def test_a_stale_write_to_another_section_merges(stage: Stage):
    await stage.open()
    version = (await stage.read()).version
    await stage.write("Goals", "Ship it on Monday.", BO)
    assert (await stage.write("Data", "Here.", version=version)).version == 3
    assert stage.plan.read_text() == PLAN.replace("Ship it.", "Ship it on Monday.").replace("None yet.", "Here.")


async def test_what_was_read_is_what_a_write_is_based_on_unless_it_says_more(stage: Stage):
    await stage.open()
    await stage.read("Goals")
    await stage.write("Goals", "Ship it on Monday.", BO)
    with pytest.raises(Refused, match="was changed since version 1, by human:bo"):
        await stage.write("Goals", "Never.")
    assert (await stage.write("Goals", "Never.")).version == 3, "the refusal showed what is there"
    assert (await stage.write("Goals", "Now.")).version == 4, "its own write is no surprise"


async def test_a_section_that_was_taken_away_is_not_written_back_unseen(stage: Stage):
    await stage.open()
    await stage.read()
    stage.plan.write_text("# Plan\n\n## Data\n\nNone yet.\n")
    with pytest.raises(Refused, match="and does not exist any more"):
        await stage.write("Goals", "Ship it.")


async def test_a_version_that_is_not_yet_is_refused(stage: Stage):
    await stage.open()
    with pytest.raises(Refused, match="plan has no version 7 yet; it is at 1"):
        await stage.write("Goals", "x", version=7)


async def test_a_claimed_section_is_its_holders_until_then(stage: Stage, clock):
    await stage.open()
    eve = await stage.agent("eve")
    claimed = await stage.call("claim", eve, name="plan", section="Data", minutes=10)
    assert claimed.until == "2026-01-05T10:10:00Z"
    with pytest.raises(Refused, match='section "Data" of plan is claimed by eve for 10 more minutes') as refused:
        await stage.write("Data", "x")
    assert refused.value.data == {"section": "Data", "holder": "eve", "until": "2026-01-05T10:10:00Z"}
    with pytest.raises(Refused, match="claimed by eve"):
        await stage.call("append", name="plan", section="Data", text="x")
    with pytest.raises(Refused, match="claimed by eve"):
        await stage.call("claim", name="plan", section="Data")
    await stage.write("Goals", "others are free")
    await stage.read("Data", eve)
    await stage.write("Data", "mine", eve)
    clock.jump(9 * 60)
    with pytest.raises(Refused, match="for 1 more minute;"):
        await stage.write("Data", "x")
    clock.jump(61)
    assert (await stage.write("Data", "x", version=0)).ok


async def test_a_claim_is_released_by_its_holder_or_a_person(stage: Stage):
    await stage.open()
    eve, mallory = await stage.agent("eve"), await stage.agent("mallory")
    await stage.call("claim", eve, name="plan", section="Data")
    with pytest.raises(Refused, match="is claimed by eve; only they or a person can release it"):
        await stage.call("release", mallory, name="plan", section="Data")
    await stage.call("release", eve, name="plan", section="Data")
    await stage.write("Data", "x", mallory, version=1)
    await stage.call("claim", eve, name="plan", section="Data")
    await stage.call("release", name="plan", section="Data")
    with pytest.raises(Refused, match="nobody has claimed"):
        await stage.call("release", eve, name="plan", section="Data")


async def test_log_show_and_blame_tell_how_it_came(stage: Stage):
    await stage.open("## A\n\none\n")
    await stage.write("A", "one\ntwo", ANNA)
    await stage.write("B", "b", BO)
    await stage.write("A", "zero\none\ntwo", BO)
    log = await stage.call("log", name="plan")
    assert [(c.version, c.by, c.op, c.section, c.added, c.removed) for c in log] == [
        (4, "human:bo", "written", "A", 1, 0), (3, "human:bo", "written", "B", 1, 0),
        (2, "human:anna", "written", "A", 1, 0), (1, "(as opened)", "opened", "A", 1, 0),
    ]  # fmt: skip
    assert [c.version for c in await stage.call("log", name="plan", section="A")] == [4, 2, 1]
    assert (await stage.call("show", name="plan", at=1)).content == "## A\n\none\n"
    assert (await stage.call("show", name="plan", section="A", at=2)).content == "one\ntwo"
    with pytest.raises(NotFound, match="version 2 has no section 'B'"):
        await stage.call("show", name="plan", section="B", at=2)
    with pytest.raises(NotFound, match="plan has the versions 1 to 4, not 9"):
        await stage.call("show", name="plan", at=9)
    blame = await stage.call("blame", name="plan", section="A")
    assert [(x.line, x.text, x.by, x.version) for x in blame] == [
        (1, "zero", "human:bo", 4), (2, "one", "(as opened)", 1), (3, "two", "human:anna", 2),
    ]  # fmt: skip


async def test_every_version_can_be_shown_however_many_there_are(stage: Stage):
    await stage.open("## Long\n\n" + "stays\n" * 200 + "\n## B\n\nb\n")
    texts = {1: stage.plan.read_text()}
    for n in range(2, 112):
        await stage.call("append", name="plan", section="Long" if n % 3 else "B", text=f"line {n}")
        texts[n] = stage.plan.read_text()
    for n, text in texts.items():
        assert (await stage.call("show", name="plan", at=n)).content == text
    records = stage.kernel.ledger.select("book='canvas' and kind='text'")
    assert sum(len(r.data["text"]) for r in records) < sum(map(len, texts.values())) / 8, (
        "what stays is not stored again and again"
    )


async def test_undo_takes_back_one_version(stage: Stage):
    await stage.open()
    await stage.call("subscribe", BO, name="plan")
    await stage.write("Goals", "Other.")
    await stage.write("New", "n")
    assert (await stage.call("undo", name="plan", version=2)).version == 4
    assert (await stage.read("Goals")).content == "Ship it."
    assert (await stage.read("New")).content == "n"
    assert 'section "Goals" · restored by human:anna (+1 / -1 lines) · version 4\n──\nShip it.' in stage.bodies(
        "human:bo"
    )
    await stage.call("undo", name="plan", version=3)
    assert stage.plan.read_text().rstrip() == PLAN.rstrip()
    await stage.call("undo", name="plan")
    assert (await stage.read("New")).content == "n", "an undo can be undone"


async def test_undo_does_not_take_back_what_others_built_on(stage: Stage):
    await stage.open()
    await stage.write("Goals", "Other.")
    await stage.write("Goals", "Third.", BO)
    with pytest.raises(Refused, match="was changed again since version 2, by human:bo in version 3"):
        await stage.call("undo", name="plan", version=2)
    with pytest.raises(Refused, match="as it was opened; nothing can be undone in it"):
        await stage.call("undo", name="plan", version=1)
    eve = await stage.agent("eve")
    with pytest.raises(Refused, match="agent:eve can undo its own versions only; version 3 is by human:bo"):
        await stage.call("undo", eve, name="plan")


async def test_undo_of_an_outside_edit_brings_sections_back_in_their_place(stage: Stage):
    await stage.open()
    stage.plan.write_text("# Plan\n\n## Data\n\nNone yet.\n")
    await stage.call("undo", name="plan")
    assert stage.plan.read_text() == PLAN


async def test_a_canvas_that_is_closed_is_forgotten_and_its_file_stays(stage: Stage):
    await stage.open()
    assert await stage.call("close", name="plan") == "plan is closed; plan.md stays"
    with pytest.raises(NotFound):
        await stage.read()
    assert (await stage.call("open", name="draft", file="plan.md")).version == 1


async def test_no_workflow_closes_a_canvas_for_an_agent(stage: Stage):
    await stage.open()
    eve = stage.kernel.roster.caller(await stage.agent("eve"))
    with pytest.raises(Refused, match="agent:eve may not use 'canvas close'"):
        await stage.call("close", eve, name="plan")
    with pytest.raises(Refused, match="only a person can close a canvas, and workflow:tidy acts for agent:eve"):
        await stage.call("close", eve.through("workflow", "tidy"), name="plan")
    await stage.call("close", ANNA.through("workflow", "tidy"), name="plan")
    assert await stage.call("list") == []


async def test_nothing_is_left_when_the_file_cannot_be_written(stage: Stage):
    await stage.open()
    [opened] = stage.kernel.ledger.book("canvas").newest("opened", 1)
    in_the_way = stage.plan.with_name(f".{opened.key.lower()}.canvas-new")
    in_the_way.mkdir()
    with pytest.raises(Refused, match=r"plan.md cannot be written: File exists; nothing was changed"):
        await stage.write("Data", "x")
    assert stage.plan.read_text() == PLAN
    assert [c.version for c in await stage.call("log", name="plan", section="Data")] == [1]
    in_the_way.rmdir()
    assert (await stage.write("Data", "x")).version == 2


async def test_agents_that_wake_one_another_through_a_canvas_come_to_a_stop(stage: Stage):
    await stage.open()
    await stage.call("subscribe", name="plan")
    last = Caller("agent", "eve", "01eve", hops=64)
    with pytest.raises(Refused, match="since a person last spoke; stopping here"):
        await stage.write("Data", "x", last, version=1)
    assert stage.plan.read_text() == PLAN


async def test_twenty_writers_and_fifty_subscribers_lose_nothing(stage: Stage):
    await stage.open()
    watchers = [await stage.agent(f"w-{n}", watches=True) for n in range(50)]
    writers = [Caller("agent", f"x-{n}", f"01x{n:02}") for n in range(20)]

    async def write(n: int) -> None:
        for step in range(3):
            await stage.call("append", writers[n], name="plan", section=f"S{n}", text=f"{n}/{step}")
            await stage.call("append", writers[n], name="plan", section="Data", text=f"{n}:{step}")

    with trio.fail_after(50):
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(write, n)
        for n in range(20):
            assert (await stage.read(f"S{n}")).content == f"{n}/0\n{n}/1\n{n}/2"
        lines = (await stage.read("Data")).content.splitlines()
        assert sorted(lines[1:]) == sorted(f"{n}:{step}" for n in range(20) for step in range(3))
        await until(lambda: not any(stage.kernel.post.letters(agent.id) for agent in watchers))
    for agent in watchers:
        heard = "".join(stage.heard(agent))
        assert all(heard.count(f"· version {n}\n") == 1 for n in range(2, 122))


async def test_subscriptions_claims_and_their_end_outlive_aegis(kernel_with, plugins, echo, clock):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.open()
        await stage.call("subscribe", BO, name="plan", sections=("Data",))
        await stage.call("claim", BO, name="plan", section="Goals", minutes=10)
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.write("Data", "x")
        await stage.write("New", "y")
        assert [body.splitlines()[0] for body in stage.bodies("human:bo")] == [
            'section "Data" · written by human:anna (+1 / -1 lines) · version 2'
        ]
        with pytest.raises(Refused, match="is claimed by human:bo for 10 more minutes"):
            await stage.write("Goals", "x")
        clock.jump(601)
        assert (await stage.write("Goals", "x")).ok


async def test_what_people_type_and_what_agents_call_are_the_same(stage: Stage):
    await stage.open()
    eve = await stage.agent("eve")
    done = await stage.call("write-section", eve, name="plan", section="Data", content="x", version=1)
    assert done.op == "write"
    assert (await stage.call("append-to-section", eve, name="plan", section="Data", text="y")).op == "append"
    assert (await stage.read("Data")).content == "x\ny"
    tools = {verb.marks.tool for verb in stage.kernel.verbs.visible(stage.kernel.roster.caller(eve))}
    assert {"aegis_canvas_write_section", "aegis_canvas_append_to_section"} <= tools
    assert not tools & {"aegis_canvas_write", "aegis_canvas_append"}, "a short form is no second tool"


async def test_an_agent_writes_over_no_text_that_it_was_not_shown(stage: Stage):
    await stage.open()
    eve = await stage.agent("eve")
    with pytest.raises(Refused, match="has a text that you were not shown") as refused:
        await stage.write("Data", "x", eve)
    assert refused.value.data["current"] and "It reads now:" in str(refused.value)
    assert stage.plan.read_text() == PLAN
    await stage.write("Data", "x", eve)  # it was shown in the refusal
    await stage.read("Data", eve)
    await stage.write("Data", "from a person")
    await stage.call("append", eve, name="plan", section="Data", text="more")
    with pytest.raises(Refused, match="was changed since version"):
        await stage.write("Data", "mine", eve)  # what was there before it appended it has not seen
    await stage.write("New", "a new section needs no look", eve)
    await stage.call("append", eve, name="plan", section="New", text="more")
    await stage.write("New", "nor does one that it wrote alone", eve)


async def test_after_a_restart_nobody_is_taken_to_have_seen_anything(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.open()
        await stage.read("Data", await stage.agent("eve"))
        await stage.write("Data", "from a person")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        with pytest.raises(Refused, match="has a text that you were not shown"):
            await stage.write("Data", "stale", kernel.roster.find("eve"))
        assert (await stage.read("Data")).content == "from a person"
