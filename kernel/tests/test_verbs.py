"""A verb is checked before it runs, refused in sentences, seen only by those who may use it, and taken back whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import trio
from fakedriver import Plugin
from pydantic import BaseModel, Field

from aegis.app import Kernel
from aegis.callers import Caller
from aegis.errors import AegisError, NotFound, Refused
from aegis.events import VerbsChanged
from aegis.testing.plugin import Opened
from aegis.verbs import Completes, plain, progress, report, verb

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

    @verb("shape wipe", destructive=True, callers=frozenset({"human"}))
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
    assert kernel.verbs.find(SAM, "shape wipe").describe()["callers"] == ["human"]


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
            "plugins 'a_shapes' and 'b_other' both offer the verb 'shape draw'; disable one under plugins.disabled"
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
