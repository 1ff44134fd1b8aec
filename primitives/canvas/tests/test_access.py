"""A canvas is no way around a permission, and none into what an agent does not see."""

from __future__ import annotations

from pathlib import Path

import pytest
from canvas_stage import ANNA, PLAN, Stage

from aegis import Decision, Refused, hookimpl
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin

CONFIG = """
agents:
  read: {provider: echo, permission: read}
  auto: {provider: echo, permission: auto}
  write: {provider: echo, permission: write}
  full: {provider: echo, permission: full}
  own: {provider: echo, permission: full, sees: own}
"""


class Person:
    """Answers what is asked, and keeps it."""

    name = "person"

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answer = Decision("denied", "not now")

    async def permission(self, seat, request):
        if request.presumed:
            return None
        self.asked.append(tuple(Path(path).name for path in request.paths))
        return self.answer

    @hookimpl
    def aegis_interceptors(self):
        return [self]


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def plugins(project: Path, plugins: dict[str, object], person: Person) -> dict[str, object]:
    (project / ".aegis.yaml").write_text(CONFIG)
    return {**plugins, "person": person}


async def spawned(stage: Stage, mode: str) -> Agent:
    return await stage.kernel.roster.spawn(mode, f"{mode}-one")


WAYS = (lambda c: c, lambda c: c.through("workflow"), lambda c: c.through("queue").through("group"))


@pytest.mark.parametrize(
    "file", ["CMakeLists.txt", "requirements.txt", "README.md", "x.md", "docs/new.md", "notes/n.md"]
)
async def test_a_reader_opens_nothing(stage: Stage, person: Person, file: str):
    root = stage.kernel.project.root
    (root / "README.md").write_text(PLAN)
    before = sorted(root.rglob("*.*"))
    reader = stage.kernel.roster.caller(await spawned(stage, "read"))
    for way in WAYS:
        with pytest.raises(Refused, match=r"may open .md, .markdown files|has the permission read"):
            await stage.call("open", way(reader), name="x", file=file)
    assert await stage.call("list") == []
    assert [path for path in sorted(root.rglob("*.*")) if ".aegis" not in path.parts] == [
        path for path in before if ".aegis" not in path.parts
    ]
    assert person.asked == []


async def test_a_reader_writes_what_others_opened_and_nothing_a_reader_opened(stage: Stage, kernel_with, plugins):
    reader = await spawned(stage, "read")
    await stage.open()
    await stage.write("Data", "Found.", reader, version=1)
    writer = await spawned(stage, "write")
    await stage.call("open", writer, name="notes", file="notes/n.md")
    assert (await stage.call("open", reader, name="notes")).name == "notes", "what is open is shown"
    await stage.call("write", reader, name="notes", section="A", content="b")
    await stage.kernel.roster.close(writer)
    await stage.call("append", reader, name="notes", section="A", text="it was opened by one who could edit")
    # one that a version before this let a reader open
    canvas = stage.kernel.ledger.book("canvas").draft(
        "opened", "01OLD", id="01OLD", name="old", file="old.md", created_at="", by="agent:read-one"
    )
    await stage.kernel.ledger.append(canvas)
    for verb, args in (
        ("write", {"section": "A", "content": "b"}),
        ("append", {"section": "A", "text": "b"}),
        ("undo", {}),
        ("claim", {"section": "A"}),
    ):
        for way in WAYS if verb != "claim" else WAYS[:1]:
            with pytest.raises(Refused, match="has the permission read, and so had who opened the canvas old"):
                await stage.call(verb, way(stage.kernel.roster.caller(reader)), name="old", **args)
    assert not (stage.kernel.project.root / "old.md").exists()


async def test_opening_is_an_edit_that_the_mode_answers(stage: Stage, person: Person, tmp_path: Path):
    root = stage.kernel.project.root
    (root / "README.md").write_text(PLAN)
    (root / "notes").symlink_to(tmp_path)
    agents = {mode: await spawned(stage, mode) for mode in ("auto", "write", "full")}
    await stage.call("open", agents["auto"], name="a", file="docs/a.md")
    await stage.call("open", agents["write"], name="b", file="README.md")
    await stage.call("open", agents["full"], name="c", file="c.md")
    assert person.asked == []
    for name, file in (("d", "d.md"), ("e", "docs.md"), ("f", "docs/../f.md")):
        for way in WAYS:
            caller = way(stage.kernel.roster.caller(agents["auto"]))
            with pytest.raises(Refused, match=r"aegis_canvas_open was denied: not now. Folders .*: docs/, notes/"):
                await stage.call("open", caller, name=name, file=file)
    assert len(person.asked) == 9 and not (root / "d.md").exists()
    with pytest.raises(Refused, match=r"unless a person sets plugins.canvas.outside"):
        await stage.call("open", agents["auto"], name="g", file="notes/g.md")
    person.answer = Decision("allowed", "go on")
    assert (await stage.call("open", agents["auto"], name="d", file="d.md")).version == 1


async def test_whose_agent_is_gone_opens_nothing_that_would_be_asked(stage: Stage):
    agent = await spawned(stage, "auto")
    caller = stage.kernel.roster.caller(agent).through("workflow")
    await stage.kernel.roster.close(agent)
    with pytest.raises(Refused, match="acts for an agent that cannot be asked"):
        await stage.call("open", caller, name="x", file="x.md")


READS = {
    "read": {}, "show": {}, "log": {}, "blame": {"section": "Data"}, "subscribe": {}, "open": {},
    "write": {"section": "Data", "content": "x", "version": 1}, "append": {"section": "Data", "text": "x"},
}  # fmt: skip


async def test_one_that_sees_its_own_sees_no_canvas_of_a_stranger(stage: Stage, echo: EchoPlugin):
    one, other = await spawned(stage, "own"), await spawned(stage, "full")
    caller = stage.kernel.roster.caller(one)
    stage.plan.write_text(PLAN)
    await stage.call("open", other, name="plan", file="plan.md")
    for verb, args in READS.items():
        for way in WAYS if verb != "subscribe" else WAYS[:1]:
            with pytest.raises(Refused, match=r"plan, which agent:full-one opened, is none of yours.*`sees: all`"):
                await stage.call(verb, way(caller), name="plan", **args)
    assert await stage.call("list", caller) == [] and len(await stage.call("list", other)) == 1
    await stage.kernel.post.deliver(
        stage.kernel.post.envelope("agent:full-one", one.id, "look at the plan", sender_id=other.id)
    )
    assert "Ship it." in str(await stage.call("read", caller, name="plan")), "who wrote to it is no stranger"
    await stage.call("open", one, name="mine", file="docs/mine.md")
    assert [view.name for view in await stage.call("list", caller)] == ["mine", "plan"]


async def test_a_canvas_of_the_person_with_whom_it_all_began_is_seen(stage: Stage):
    await stage.open()
    lead = await stage.kernel.roster.spawn("own", "lead", ANNA)
    child = await stage.kernel.roster.spawn("own", "child", stage.kernel.roster.caller(lead))
    stranger = await stage.kernel.roster.spawn("own", "stranger")
    for agent in (lead, child):
        assert "Ship it." in str(await stage.call("read", agent, name="plan"))
    with pytest.raises(Refused, match="sees: all"):
        await stage.call("read", stranger, name="plan")


@pytest.mark.parametrize("file", ["con\nx.md", "a\0b.md", "a\u202e.md", "a\u200b.md", "notes/a\x1b[2J.md", "a\r.md"])
async def test_a_file_name_that_hides_something_is_no_canvas(stage: Stage, file: str):
    for caller in (ANNA, await spawned(stage, "full")):
        with pytest.raises(Refused, match="characters that are not seen"):
            await stage.call("open", caller, name="x", file=file)
    assert await stage.call("list") == []
