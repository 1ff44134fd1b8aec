"""What becomes of a canvas through its verbs."""

from __future__ import annotations

import stat

import pytest
import trio
from canvas_stage import ANNA, BO, PLAN, House, settled, until

from aegis import Caller, NotFound, Refused


async def test_a_canvas_is_opened_once_with_its_file_and_then_by_name(house: House):
    face = await house.call("open", name="plan", file="docs/new/plan.md")
    assert (face.file, face.version, face.sections) == ("docs/new/plan.md", 1, [])
    assert (house.kernel.project.root / "docs/new/plan.md").read_bytes() == b""
    assert await house.call("open", name="plan") == await house.call("open", name="plan", file="./docs/new/plan.md")
    with pytest.raises(Refused, match=r"the canvas 'plan' is docs/new/plan.md; take another name for other.md"):
        await house.call("open", name="plan", file="other.md")
    with pytest.raises(Refused, match="is the canvas 'plan' already"):
        await house.call("open", name="again", file="docs/../docs/new/plan.md")
    with pytest.raises(
        NotFound,
        match=r"no canvas 'paln' \(canvases: plan\); open it first: canvas open paln FILE.*Did you mean 'plan'",
    ):
        await house.call("read", name="paln")
    with pytest.raises(Refused, match="is no name for a canvas"):
        await house.call("open", name="../x", file="x.md")


async def test_what_is_written_is_in_the_file_and_nothing_else_changed(house: House):
    await house.open()
    done = await house.write("Data", "Q3 came in.\nStronger.")
    assert house.plan.read_text() == PLAN.replace("None yet.", "Q3 came in.\nStronger.")
    assert (done.ok, done.canvas, done.section, done.op, done.writer) == (True, "plan", "Data", "write", "human:anna")
    assert (done.added, done.removed, done.version) == (2, 1, 2)
    assert (await house.read("Data")).content == "Q3 came in.\nStronger."
    assert (await house.read()).content == house.plan.read_text()
    [plan] = await house.call("list")
    assert [(s.name, s.lines, s.last_writer, s.version) for s in plan.sections] == [
        ("_preamble", 1, "", 1), ("Goals", 1, "", 1), ("Data", 2, "human:anna", 2),
    ]  # fmt: skip


async def test_to_say_the_same_again_changes_nothing(house: House):
    await house.open()
    await house.call("subscribe", BO, name="plan")
    done = await house.write("Goals", "Ship it.\n")
    assert (done.version, done.added, done.removed) == (1, 0, 0)
    assert "says so already" in str(done)
    assert house.mail("human:bo") == []


async def test_mode_and_symbolic_link_stay(house: House):
    root = house.kernel.project.root
    (root / "real").mkdir()
    (root / "real" / "p.md").write_text(PLAN)
    (root / "real" / "p.md").chmod(0o640)
    (root / "plan.md").symlink_to("real/p.md")
    await house.call("open", name="plan", file="plan.md")
    await house.write("Data", "Here.")
    assert house.plan.is_symlink()
    assert stat.S_IMODE((root / "real" / "p.md").stat().st_mode) == 0o640
    assert "Here." in (root / "real" / "p.md").read_text()
    assert [p.name for p in (root / "real").iterdir()] == ["p.md"], "nothing is left beside it"


async def test_subscribers_are_told_and_the_writer_is_not(house: House):
    await house.open()
    writer = await house.agent("researcher", watches=True)
    await house.call("subscribe", name="plan")
    await house.write("Data", "\n".join(f"line {n}" for n in range(18)), writer)
    [letter] = house.mail()
    assert letter.splitlines()[0].startswith("> from canvas:plan · 2026-")
    assert house.bodies() == [
        'section "Data" · written by agent:researcher (+18 / -1 lines) · version 2\n──\n'
        + "\n".join(f"line {n}" for n in range(6))
        + "\n… (12 more lines)"
    ]
    await house.call("append", writer, name="plan", section="Data", text="the\nend")
    await house.write("Data", "", writer)
    assert house.bodies()[1:] == [
        'section "Data" · appended by agent:researcher (+2 lines) · version 3\n──\nthe\nend',
        'section "Data" · written by agent:researcher (+0 / -20 lines) · version 4\n──\n(empty)',
    ]
    await settled()
    assert house.heard(writer) == []


async def test_the_lines_are_counted_from_a_true_difference(house: House):
    await house.open("## A\n\none\ntwo\nthree\n")
    done = await house.write("A", "one\n2\nthree\nfour")
    assert (done.added, done.removed) == (2, 1)


async def test_one_may_watch_only_some_sections(house: House):
    await house.open()
    done = await house.call("subscribe", name="plan", sections=("Goals",))
    assert (done.ok, done.subscribers) == (True, ["human:anna"])
    await house.write("Data", "x", BO)
    await house.write("Goals", "y", BO)
    assert [body.split(" · ")[0] for body in house.bodies()] == ['section "Goals"']
    assert (await house.call("unsubscribe", name="plan")).subscribers == []
    await house.write("Goals", "z", BO)
    assert len(house.bodies()) == 1


async def test_a_subscription_is_the_agents_whatever_its_name_and_ends_with_it(house: House):
    await house.open()
    agent = await house.agent("old-name", watches=True)
    await house.kernel.roster.rename(agent, "new-name")
    await house.write("Data", "x")
    await settled()
    assert len(house.heard(agent)) == 1
    [plan] = await house.call("list")
    assert plan.subscribers == ["new-name"]
    await house.call("claim", agent, name="plan", section="Data")
    await house.kernel.roster.close(agent)
    [plan] = await house.call("list")
    assert plan.subscribers == []
    assert [s.claimed_by for s in plan.sections] == ["", "", ""]
    await house.write("Data", "y")
    assert house.kernel.post.letters(agent.id) == []


async def test_an_agent_that_was_closed_while_nobody_looked_has_nothing_left(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.open()
        agent = await house.agent("eve", watches=True)
        await house.call("claim", agent, name="plan", section="Data")
    async with kernel_with(echo=echo) as kernel:
        await kernel.roster.close(kernel.roster.find("eve"))
    async with kernel_with(**plugins) as kernel:
        shelf = kernel.ledger.book("canvas")
        await until(lambda: shelf.newest("unsubscribed", 1) and shelf.newest("released", 1))
        [plan] = await House(kernel, echo).call("list")
        assert plan.subscribers == []
        assert [s.claimed_by for s in plan.sections] == ["", "", ""]


async def test_a_stale_write_to_the_same_section_is_refused_with_what_is_there(house: House):
    await house.open()
    version = (await house.read("Goals")).version
    await house.write("Goals", "Ship it on Monday.", BO)
    with pytest.raises(Refused) as refused:
        await house.write("Goals", "Ship it never.", version=version)
    sentence, data = str(refused.value), refused.value.data
    assert 'section "Goals" of plan was changed since version 1, by human:bo at ' in sentence
    assert "-Ship it.\n+Ship it on Monday." in sentence
    assert "It reads now:\nShip it on Monday.\nNothing was written" in sentence
    assert (data["current"], data["version"], data["writer"]) == ("Ship it on Monday.", 2, "human:bo")
    assert "+Ship it on Monday." in data["diff"]
    assert (await house.read("Goals")).content == "Ship it on Monday."
    assert (await house.write("Goals", "Ship it never.", version=2)).version == 3


async def test_a_stale_write_to_another_section_merges(house: House):
    await house.open()
    version = (await house.read()).version
    await house.write("Goals", "Ship it on Monday.", BO)
    assert (await house.write("Data", "Here.", version=version)).version == 3
    assert house.plan.read_text() == PLAN.replace("Ship it.", "Ship it on Monday.").replace("None yet.", "Here.")


async def test_what_was_read_is_what_a_write_is_based_on_unless_it_says_more(house: House):
    await house.open()
    await house.read("Goals")
    await house.write("Goals", "Ship it on Monday.", BO)
    with pytest.raises(Refused, match="was changed since version 1, by human:bo"):
        await house.write("Goals", "Never.")
    assert (await house.write("Goals", "Never.")).version == 3, "the refusal showed what is there"
    assert (await house.write("Goals", "Now.")).version == 4, "its own write is no surprise"


async def test_a_section_that_was_taken_away_is_not_written_back_unseen(house: House):
    await house.open()
    await house.read()
    house.plan.write_text("# Plan\n\n## Data\n\nNone yet.\n")
    with pytest.raises(Refused, match="and is not there any more"):
        await house.write("Goals", "Ship it.")


async def test_a_version_that_is_not_yet_is_refused(house: House):
    await house.open()
    with pytest.raises(Refused, match="plan has no version 7 yet; it is at 1"):
        await house.write("Goals", "x", version=7)


async def test_a_claimed_section_is_its_holders_until_then(house: House, clock):
    await house.open()
    eve = await house.agent("eve")
    claimed = await house.call("claim", eve, name="plan", section="Data", minutes=10)
    assert claimed.until == "2026-01-05T10:10:00Z"
    with pytest.raises(Refused, match='section "Data" of plan is claimed by eve for 10 more minutes') as refused:
        await house.write("Data", "x")
    assert refused.value.data == {"section": "Data", "holder": "eve", "until": "2026-01-05T10:10:00Z"}
    with pytest.raises(Refused, match="claimed by eve"):
        await house.call("append", name="plan", section="Data", text="x")
    with pytest.raises(Refused, match="claimed by eve"):
        await house.call("claim", name="plan", section="Data")
    await house.write("Goals", "others are free")
    await house.write("Data", "mine", eve)
    clock.jump(9 * 60)
    with pytest.raises(Refused, match="for 1 more minute;"):
        await house.write("Data", "x")
    clock.jump(61)
    assert (await house.write("Data", "x", version=0)).ok


async def test_a_claim_is_released_by_its_holder_or_a_person(house: House):
    await house.open()
    eve, mallory = await house.agent("eve"), await house.agent("mallory")
    await house.call("claim", eve, name="plan", section="Data")
    with pytest.raises(Refused, match="is claimed by eve; only they or a person may release it"):
        await house.call("release", mallory, name="plan", section="Data")
    await house.call("release", eve, name="plan", section="Data")
    await house.write("Data", "x", mallory)
    await house.call("claim", eve, name="plan", section="Data")
    await house.call("release", name="plan", section="Data")
    with pytest.raises(Refused, match="nobody has claimed"):
        await house.call("release", eve, name="plan", section="Data")


async def test_log_show_and_blame_tell_how_it_came(house: House):
    await house.open("## A\n\none\n")
    await house.write("A", "one\ntwo", ANNA)
    await house.write("B", "b", BO)
    await house.write("A", "zero\none\ntwo", BO)
    log = await house.call("log", name="plan")
    assert [(c.version, c.by, c.op, c.section, c.added, c.removed) for c in log] == [
        (4, "human:bo", "written", "A", 1, 0), (3, "human:bo", "written", "B", 1, 0),
        (2, "human:anna", "written", "A", 1, 0), (1, "(as opened)", "opened", "A", 1, 0),
    ]  # fmt: skip
    assert [c.version for c in await house.call("log", name="plan", section="A")] == [4, 2, 1]
    assert (await house.call("show", name="plan", at=1)).content == "## A\n\none\n"
    assert (await house.call("show", name="plan", section="A", at=2)).content == "one\ntwo"
    with pytest.raises(NotFound, match="version 2 has no section 'B'"):
        await house.call("show", name="plan", section="B", at=2)
    with pytest.raises(NotFound, match="plan has the versions 1 to 4, and no 9"):
        await house.call("show", name="plan", at=9)
    blame = await house.call("blame", name="plan", section="A")
    assert [(x.line, x.text, x.by, x.version) for x in blame] == [
        (1, "zero", "human:bo", 4), (2, "one", "(as opened)", 1), (3, "two", "human:anna", 2),
    ]  # fmt: skip


async def test_every_version_can_be_shown_however_many_there_are(house: House):
    await house.open("## Long\n\n" + "stays\n" * 200 + "\n## B\n\nb\n")
    texts = {1: house.plan.read_text()}
    for n in range(2, 112):
        await house.call("append", name="plan", section="Long" if n % 3 else "B", text=f"line {n}")
        texts[n] = house.plan.read_text()
    for n, text in texts.items():
        assert (await house.call("show", name="plan", at=n)).content == text
    records = house.kernel.ledger.select("book='canvas' and kind='text'")
    assert sum(len(r.data["text"]) for r in records) < sum(map(len, texts.values())) / 8, (
        "what stays is not stored again and again"
    )


async def test_undo_takes_back_one_version(house: House):
    await house.open()
    await house.call("subscribe", BO, name="plan")
    await house.write("Goals", "Other.")
    await house.write("New", "n")
    assert (await house.call("undo", name="plan", version=2)).version == 4
    assert (await house.read("Goals")).content == "Ship it."
    assert (await house.read("New")).content == "n"
    assert 'section "Goals" · restored by human:anna (+1 / -1 lines) · version 4\n──\nShip it.' in house.bodies(
        "human:bo"
    )
    await house.call("undo", name="plan", version=3)
    assert house.plan.read_text().rstrip() == PLAN.rstrip()
    await house.call("undo", name="plan")
    assert (await house.read("New")).content == "n", "an undo can be undone"


async def test_undo_does_not_take_back_what_others_built_on(house: House):
    await house.open()
    await house.write("Goals", "Other.")
    await house.write("Goals", "Third.", BO)
    with pytest.raises(Refused, match="was changed again since version 2, by human:bo in version 3"):
        await house.call("undo", name="plan", version=2)
    with pytest.raises(Refused, match="as it was opened; there is nothing before it"):
        await house.call("undo", name="plan", version=1)
    eve = await house.agent("eve")
    with pytest.raises(Refused, match="agent:eve may undo what it wrote; version 3 is by human:bo"):
        await house.call("undo", eve, name="plan")


async def test_undo_of_an_outside_edit_brings_sections_back_in_their_place(house: House):
    await house.open()
    house.plan.write_text("# Plan\n\n## Data\n\nNone yet.\n")
    await house.call("undo", name="plan")
    assert house.plan.read_text() == PLAN


async def test_a_canvas_that_is_closed_is_forgotten_and_its_file_stays(house: House):
    await house.open()
    assert await house.call("close", name="plan") == "plan is closed; plan.md stays"
    with pytest.raises(NotFound):
        await house.read()
    assert (await house.call("open", name="draft", file="plan.md")).version == 1


async def test_nothing_is_left_when_the_file_cannot_be_written(house: House):
    await house.open()
    [opened] = house.kernel.ledger.book("canvas").newest("opened", 1)
    in_the_way = house.plan.with_name(f".{opened.key.lower()}.canvas-new")
    in_the_way.mkdir()
    with pytest.raises(Refused, match=r"plan.md cannot be written: File exists; nothing was changed"):
        await house.write("Data", "x")
    assert house.plan.read_text() == PLAN
    assert [c.version for c in await house.call("log", name="plan", section="Data")] == [1]
    in_the_way.rmdir()
    assert (await house.write("Data", "x")).version == 2


async def test_agents_that_wake_one_another_through_a_canvas_come_to_a_stop(house: House):
    await house.open()
    await house.call("subscribe", name="plan")
    last = Caller("agent", "eve", "01eve", hops=64)
    with pytest.raises(Refused, match="since a person last spoke; stopping here"):
        await house.write("Data", "x", last)
    assert house.plan.read_text() == PLAN


async def test_twenty_writers_and_fifty_subscribers_lose_nothing(house: House):
    await house.open()
    watchers = [await house.agent(f"w-{n}", watches=True) for n in range(50)]
    writers = [Caller("agent", f"x-{n}", f"01x{n:02}") for n in range(20)]

    async def write(n: int) -> None:
        for step in range(3):
            await house.call("append", writers[n], name="plan", section=f"S{n}", text=f"{n}/{step}")
            await house.call("append", writers[n], name="plan", section="Data", text=f"{n}:{step}")

    with trio.fail_after(50):
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(write, n)
        for n in range(20):
            assert (await house.read(f"S{n}")).content == f"{n}/0\n{n}/1\n{n}/2"
        lines = (await house.read("Data")).content.splitlines()
        assert sorted(lines[1:]) == sorted(f"{n}:{step}" for n in range(20) for step in range(3))
        await until(lambda: not any(house.kernel.post.letters(agent.id) for agent in watchers))
    for agent in watchers:
        heard = "".join(house.heard(agent))
        assert all(heard.count(f"· version {n}\n") == 1 for n in range(2, 122))


async def test_subscriptions_claims_and_their_end_outlive_aegis(kernel_with, plugins, echo, clock):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.open()
        await house.call("subscribe", BO, name="plan", sections=("Data",))
        await house.call("claim", BO, name="plan", section="Goals", minutes=10)
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await house.write("Data", "x")
        await house.write("New", "y")
        assert [body.splitlines()[0] for body in house.bodies("human:bo")] == [
            'section "Data" · written by human:anna (+1 / -1 lines) · version 2'
        ]
        with pytest.raises(Refused, match="is claimed by human:bo for 10 more minutes"):
            await house.write("Goals", "x")
        clock.jump(601)
        assert (await house.write("Goals", "x")).ok


async def test_what_people_type_and_what_agents_call_are_the_same(house: House):
    await house.open()
    eve = await house.agent("eve")
    done = await house.call("write-section", eve, name="plan", section="Data", content="x")
    assert done.op == "write"
    assert (await house.call("append-to-section", eve, name="plan", section="Data", text="y")).op == "append"
    assert (await house.read("Data")).content == "x\ny"
    tools = {verb.marks.tool for verb in house.kernel.verbs.visible(house.kernel.roster.caller(eve))}
    assert {"aegis_canvas_write_section", "aegis_canvas_append_to_section"} <= tools
    assert not tools & {"aegis_canvas_write", "aegis_canvas_append"}, "a short form is no second tool"
