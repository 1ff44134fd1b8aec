"""A verb is checked before it runs, refused in sentences, seen only by those who may use it, and taken back whole."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest
import trio
from fakedriver import Plugin
from pydantic import BaseModel, Field

from aegis import hookimpl
from aegis.app import Kernel
from aegis.callers import Caller
from aegis.errors import AegisError, NotFound, Refused
from aegis.events import VerbsChanged
from aegis.testing.plugin import Opened
from aegis.verb_definition import Completes, plain, verb
from aegis.verbs import VerbCall, progress, report

SAM = Caller("human", "sam")
ANN = Caller("agent", "ann", "ID")


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Made:
    where: Point
    by: str


class Shapes:
    name = "shapes"

    @verb("shape draw", read_only=False)
    async def draw(
        self,
        caller: Caller,
        name: Annotated[str, Completes("handle")],
        count: Annotated[int, Field(ge=1, le=9)] = 1,
        colour: Literal["red", "blue"] = "red",
        at: Point = Point(x=0),  # noqa: B008 - a frozen default
    ) -> str:
        """Draw a shape.

        More about it.
        """
        return f"{count} {colour} {name} at {at.x} for {caller}"

    @verb("shape list", read_only=True)
    async def listed(self, caller: Caller) -> list[Made]:
        """List the shapes."""
        return [Made(Point(x=1), str(caller))]

    @verb("shape wipe", destructive=True, for_={"person"})
    async def wipe(self, caller: Caller) -> None:
        """Remove all shapes."""
        report("half done")


@pytest.fixture
def plugins() -> dict[str, object]:
    return {"shapes": Plugin(primitives=[Shapes()])}


async def test_a_call_gets_its_arguments_as_their_types(kernel: Kernel) -> None:
    said = await kernel.verbs.call(SAM, "shape draw", {"name": "cube", "count": "3", "at": {"x": 7}})
    assert said == "3 red cube at 7 for human:sam"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({}, r"shape draw: name is missing\. It takes: name, count, colour, at\."),
        ({"name": "a", "colr": "red"}, r"there is no colr\. Did you mean 'colour'\?"),
        ({"name": "a", "count": 10}, "count is wrong: .*less than or equal to 9"),
        ({"name": "a", "count": "many"}, "count is wrong: .*valid integer"),
        ({"name": "a", "colour": "green"}, "colour is wrong: .*'red' or 'blue'"),
        ({"name": "a", "at": {"y": 1}}, r"at\.x is missing"),
        ({"name": 5, "count": 0}, "name is wrong: .*; count is wrong: "),
        ({"name": "a", "caller": "human:root"}, "there is no caller"),
        ({"name": "a", "from_handle": "x"}, "there is no from_handle"),
        ({"name": "caf\udce9"}, "a text has half a character in it"),
        ({"name": "a", "at": {"x": 1, "\ud800": 2}}, "a text has half a character in it"),
    ],
)
async def test_wrong_arguments_are_refused_in_a_sentence(kernel: Kernel, args: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        await kernel.verbs.call(SAM, "shape draw", args)


async def test_an_unknown_verb_names_the_nearest_and_the_package(kernel: Kernel) -> None:
    with pytest.raises(NotFound, match=r"no verb 'shape drw'; the package aegis-shape may bring it\. Did you mean"):
        await kernel.verbs.call(SAM, "shape drw")
    with pytest.raises(NotFound, match="there is no verb ''"):
        await kernel.verbs.call(SAM, "")


async def test_a_caller_sees_and_may_use_only_its_verbs(kernel: Kernel) -> None:
    assert [v.name for v in kernel.verbs.visible(SAM)] == ["shape draw", "shape list", "shape wipe"]
    assert [v.name for v in kernel.verbs.visible(ANN)] == ["shape draw", "shape list"]
    some = Caller("agent", "ann", "ID", verbs=("shape l*",))
    assert [v.name for v in kernel.verbs.visible(some)] == ["shape list"]
    with pytest.raises(Refused, match="agent:ann may not use 'shape draw'; it may use: shape list"):
        await kernel.verbs.call(some, "shape draw", {"name": "a"})
    with pytest.raises(Refused, match="agent:ann may not use 'shape wipe'"):
        await kernel.verbs.call(ANN, "shape wipe")


async def test_everything_a_surface_needs_comes_from_the_signature(kernel: Kernel) -> None:
    face = kernel.verbs.find(SAM, "shape draw").describe()
    assert face["name"] == "shape draw"
    assert face["tool"] == "aegis_shape_draw"
    assert face["help"] == "Draw a shape."
    assert list(face["positional"]) == ["name"]
    assert face["completes"] == {"name": "handle"}
    assert face["plugin"] == "shapes"
    assert face["schema"]["required"] == ["name"]
    assert face["schema"]["additionalProperties"] is False
    assert face["schema"]["properties"]["colour"]["enum"] == ["red", "blue"]
    assert "caller" not in face["schema"]["properties"]
    listing = kernel.verbs.find(SAM, "shape list").describe()
    assert (listing["read_only"], listing["destructive"]) == (True, False)
    assert kernel.verbs.find(SAM, "shape wipe").describe()["for"] == ["person"]


async def test_values_are_json_at_every_surface(kernel: Kernel) -> None:
    assert plain(await kernel.verbs.call(SAM, "shape list")) == [{"where": {"x": 1, "y": 0}, "by": "human:sam"}]
    assert plain({"p": Point(x=1), "s": {1}}) == {"p": {"x": 1, "y": 0}, "s": [1]}
    assert kernel.verbs.completions("verb") == ["shape draw", "shape list", "shape wipe"]


async def test_progress_reaches_who_listens_and_only_them(kernel: Kernel) -> None:
    heard: list[str] = []
    with progress(heard.append):
        await kernel.verbs.call(SAM, "shape wipe")
    await kernel.verbs.call(SAM, "shape wipe")
    assert heard == ["half done"]


async def test_verbs_that_come_and_go_are_announced_and_refused_with_the_reason(kernel: Kernel) -> None:
    with kernel.bus.subscribe() as news:
        kernel.verbs.remove("shapes", "it crashed")
        with pytest.raises(NotFound, match=r"shape draw: its plugin 'shapes' is down \(it crashed\)"):
            await kernel.verbs.call(SAM, "shape draw", {"name": "a"})
        kernel.verbs.add("shapes", Shapes())
        assert await kernel.verbs.call(SAM, "shape draw", {"name": "a"})
        changes = [e for batch in await anext(news) for e in batch.events if isinstance(e, VerbsChanged)]
    assert [(len(c.added), len(c.removed)) for c in changes] == [(0, 3), (3, 0)]


async def test_two_plugins_with_one_verb_are_both_named_and_the_rest_runs(kernel_with: Opened) -> None:
    class Other:
        name = "other"

        @verb("shape draw")
        async def draw(self, caller: Caller) -> str:
            """Draw."""
            return "other"

        @verb("other thing")
        async def thing(self, caller: Caller) -> str:
            """Do another thing."""
            return "x"

    async with kernel_with(a_shapes=Plugin(primitives=[Shapes()]), b_other=Plugin(primitives=[Other()])) as kernel:
        fault = next(f for f in kernel.faults if f.source == "b_other")
        assert fault.error == (
            "plugins 'a_shapes' and 'b_other' both offer the verb 'shape draw'; disable one "
            "of them under plugins.disabled in .aegis.yaml"
        )
        assert await kernel.verbs.call(SAM, "shape draw", {"name": "x"}) == "1 red x at 0 for human:sam"
        assert [v.plugin for v in kernel.verbs] == ["a_shapes"] * 3
        assert next(f for f in kernel.plugins.report() if f.name == "b_other").state == "failed"


@pytest.mark.parametrize("name", ["", "Shape", "a b c", "shape  draw", "shape_draw", "9lives", "shape draw "])
def test_a_verbs_name_is_one_or_two_words(name: str) -> None:
    with pytest.raises(AegisError, match="must be one or two lower-case words"):
        verb(name)(Shapes.draw)


def test_a_verb_is_async_and_says_what_it_does() -> None:
    def sync(self: object, caller: Caller) -> None:
        """Do."""

    async def silent(self: object, caller: Caller) -> None: ...

    for method in (sync, silent):
        with pytest.raises(AegisError, match="on an async method with a docstring"):
            verb("do it")(method)


async def test_a_verbs_own_error_reaches_the_caller_and_the_rest_goes_on(kernel_with: Opened) -> None:
    class Broken:
        name = "broken"

        @verb("break")
        async def break_(self, caller: Caller) -> str:
            """Break."""
            raise ZeroDivisionError("oops")

    async with kernel_with(broken=Plugin(primitives=[Broken()]), shapes=Plugin(primitives=[Shapes()])) as kernel:
        with pytest.raises(ZeroDivisionError):
            await kernel.verbs.call(SAM, "break")
        assert await kernel.verbs.call(SAM, "shape list")
        assert trio.current_effective_deadline() == float("inf")


# -- names have one owner -------------------------------------------------------------------------------------------


def _plugin_of(name: str, *verbs: Any) -> Plugin:
    """Return a plugin with one primitive that has these methods."""
    return Plugin(primitives=[_object_of(name, *verbs)])


def _object_of(name: str, *verbs: Any) -> Any:
    return type(name.title(), (), {"name": name} | {f"m{n}": method for n, method in enumerate(verbs)})()


def _saying(word: str) -> Any:
    async def method(self: Any, caller: Caller) -> str:
        """Say it."""
        return word

    return method


@pytest.mark.parametrize(
    ("mine", "theirs", "taken"),
    [
        (verb("dice roll"), verb("dice-roll"), "the tool 'aegis_dice_roll'"),
        (verb("add"), verb("nothing", tool="aegis_add"), "the tool 'aegis_add'"),
        (verb("one", tool="same"), verb("two", tool="same"), "the tool 'same'"),
        (verb("dice roll"), verb("dice roll", tool="other"), "the verb 'dice roll'"),
    ],
)
async def test_a_plugin_cannot_take_anothers_verb_or_tool(
    kernel_with: Opened, mine: Any, theirs: Any, taken: str
) -> None:
    async with kernel_with(a=_plugin_of("a", mine(_saying("a"))), b=_plugin_of("b", theirs(_saying("b")))) as kernel:
        [fault] = kernel.faults
        assert fault.error.startswith(f"plugins 'a' and 'b' both offer {taken}; disable one")
        assert [(v.plugin, await v.run(SAM)) for v in kernel.verbs] == [("a", "a")]
        assert set(kernel.verbs.tools.owners().values()) == {"a"}


async def test_two_objects_of_one_plugin_cannot_share_a_name(kernel_with: Opened) -> None:
    both = [_object_of("a", verb("same")(_saying(word))) for word in "xy"]
    async with kernel_with(a=Plugin(primitives=both)) as kernel:
        assert [f.error for f in kernel.faults] == ["plugin 'a' offers the verb 'same' twice"]
        assert list(kernel.verbs) == []


# -- callers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["web", "http", "acp", "slack", "cron", "telegram"])
async def test_a_kind_that_nobody_knows_may_use_what_is_for_everyone(kernel: Kernel, kind: str) -> None:
    assert "shape draw" in {v.name for v in kernel.verbs.visible(Caller(kind, "x"))}
    with pytest.raises(Refused, match=f"{kind}:x may not use 'shape wipe'"):
        kernel.verbs.find(Caller(kind, "x"), "shape wipe")
    kernel.verbs.find(Caller(kind, "x", class_="person"), "shape wipe")


def test_who_acts_through_others_keeps_who_it_is_for() -> None:
    agent = Caller("agent", "lucid-knuth", "01A", "01T", 3, ("enqueue",))
    queue = agent.through("queue", "ci")
    run = queue.through("workflow", "01W")
    assert str(run) == "workflow:01W"
    assert (run.agent_id, run.trace, run.hops, run.verbs) == ("01A", "01T", 3, ("enqueue",))
    assert (run.class_, run.via, run.on_behalf_of) == ("program", ("queue", "workflow"), "agent:lucid-knuth")
    assert run.principal == queue.principal == agent.principal == "agent:lucid-knuth"
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(run)), Caller) == run


async def test_a_part_of_another_verb_is_used_through_a_plugin_only(kernel_with: Opened) -> None:
    inner = _plugin_of("a", verb("inner", for_={"program"})(_saying("inside")))
    async with kernel_with(a=inner) as kernel:
        worker = Caller("agent", "w", "01A", verbs=("send",))
        for nobody in (worker, SAM, Caller("cron", "x", verbs=("send",))):
            with pytest.raises(Refused, match="may not use 'inner'"):
                kernel.verbs.find(nobody, "inner")
        assert await kernel.verbs.call(worker.through("inbox"), "inner") == "inside"


async def test_a_program_that_acts_for_an_agent_may_use_no_more_than_the_agent(kernel_with: Opened) -> None:
    people = verb("pause", for_={"person", "program"})(_saying("paused"))
    checking = verb("restart", for_={"person", "program"}, checks=True)(_saying("restarted"))
    async with kernel_with(a=_plugin_of("a", people), b=_plugin_of("b", checking)) as kernel:
        anna = Caller("human", "anna")
        named = Caller("schedule", "nightly", on_behalf_of="agent:ann")  # no id: bound all the same
        for bound in (ANN.through("queue"), ANN.through("workflow").through("group"), named, named.through("queue")):
            with pytest.raises(Refused, match="may not use 'pause'"):
                await kernel.verbs.call(bound, "pause")
            assert "pause" not in {v.name for v in kernel.verbs.visible(bound)}
            assert await kernel.verbs.call(bound, "restart") == "restarted"
        for free in (anna, anna.through("workflow"), Caller("schedule", "nightly")):
            assert await kernel.verbs.call(free, "pause") == "paused"
        with pytest.raises(Refused, match="may not use 'restart'"):
            await kernel.verbs.call(ANN, "restart")


def test_an_agents_act_has_an_agent_whatever_it_comes_through_and_however_it_is_said() -> None:
    assert Caller("agent", "ann").agent_id == "agent:ann"
    assert Caller("schedule", "x", on_behalf_of="agent:ann").through("queue").agent_id == "agent:ann"
    assert ANN.through("queue").agent_id == "ID"
    for free in (SAM, SAM.through("queue"), Caller("cron", "agent"), Caller("cron", "x", on_behalf_of="human:agent")):
        assert free.agent_id == ""


# -- on its way -----------------------------------------------------------------------------------------------------


async def test_what_an_interceptor_writes_is_validated_like_what_a_caller_says(kernel: Kernel) -> None:
    class Rewrites:
        name, said = "rewrites", {"count": "no number"}

        async def before_verb(self, call: VerbCall) -> None:
            call.args.update(self.said)

    kernel.interceptors.add(rewrites := Rewrites())
    with pytest.raises(Refused, match="count is wrong"):
        await kernel.verbs.call(SAM, "shape draw", {"name": "cube"})
    rewrites.said = {"nonsense": 1}
    with pytest.raises(Refused, match="there is no nonsense"):
        await kernel.verbs.call(SAM, "shape draw", {"name": "cube"})
    rewrites.said = {"count": "2"}
    assert "2" in str(await kernel.verbs.call(SAM, "shape draw", {"name": "cube"}))


async def test_a_call_says_what_it_is_and_its_arguments_are_canonical(kernel: Kernel) -> None:
    seen: list[VerbCall] = []

    class Sees:
        name = "sees"

        async def before_verb(self, call: VerbCall) -> None:
            seen.append(call)

    kernel.interceptors.add(Sees())
    with suppress(AegisError):
        await kernel.verbs.call(SAM, "shape wipe")
    await kernel.verbs.call(SAM, "shape draw", {"name": "cube", "count": "3", "at": {"x": 7}})
    await kernel.verbs.call(SAM, "shape draw", {"at": {"x": 7}, "count": 3, "name": "cube"})
    wipe, one, two = seen
    assert (wipe.plugin, wipe.read_only, wipe.destructive) == (kernel.verbs.find(SAM, "shape wipe").plugin, False, True)
    assert one.canonical == two.canonical
    assert " " not in one.canonical.replace("cube", "")
    assert len({c.id for c in seen}) == 3


async def test_no_interceptor_sees_what_cannot_be_written_down(kernel: Kernel) -> None:
    seen: list[str] = []

    class Audit:
        name = "audit"

        async def before_verb(self, call: VerbCall) -> None:
            seen.append(call.canonical)

    kernel.interceptors.add(Audit())
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for wrong in ("\ud800", {"\udfff": 1}, deep):
        with pytest.raises(Refused, match="shape draw: "):
            await kernel.verbs.call(SAM, "shape draw", {"name": wrong})
    assert seen == []
    await kernel.verbs.call(SAM, "shape draw", {"name": "😀"})
    assert "😀" in seen[0]


class Advises:
    name = "advises"

    @verb("advise", for_={"agent", "person"})
    async def advise(self, caller: Caller) -> str:
        """Give advice.

        It is free.

        For agents: do not ask twice; end your turn.
        """
        return ""


async def test_advice_for_agents_is_told_to_agents_only(kernel_with: Opened) -> None:
    async with kernel_with(a=Plugin(primitives=[Advises()])) as kernel:
        [found] = kernel.verbs
        assert found.help == "Give advice."
        assert found.doc == "Give advice.\n\nIt is free."
        assert found.advice == "do not ask twice; end your turn."
        assert "twice" not in found.describe()["doc"]


async def test_what_completes_goes_with_the_verbs(kernel_with: Opened) -> None:
    class Colours:
        name = "colours"

        def __init__(self, kernel: Kernel) -> None:
            kernel.verbs.complete_with("colour", lambda: ["red"])

    class Offers:
        @hookimpl
        def aegis_primitives(self, kernel: Kernel) -> list[Any]:
            return [Colours(kernel)]

    async with kernel_with(colours=Offers()) as kernel:
        assert kernel.verbs.completions("colour") == ["red"]
        kernel.verbs.remove("colours", "it fell")
        assert kernel.verbs.completions("colour") == []
