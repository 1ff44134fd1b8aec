"""What a function takes is checked by its signature, and whatever JSON cannot hold is said in a sentence."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel, Field

from aegis_signatures.arguments import Arguments
from aegis_signatures.plain import as_json, plain


@dataclass(frozen=True)
class Mark:
    what: str


class Bean(BaseModel):
    n: int = 1


class Struct(msgspec.Struct):
    bean: Bean


def serve(
    self: Any, who: Annotated[str, Mark("guest"), Field(description="the guest")], beans: int = 1, more: Any = None
) -> None: ...


@pytest.fixture
def arguments():
    return Arguments("serve", serve, 1, lambda name, known: f" Did you mean {known[0]!r}?")


def test_arguments_become_their_types(arguments):
    assert arguments.checked({"who": "ann", "beans": "3"}) == {"who": "ann", "beans": 3, "more": None}
    assert arguments.names == ["who", "beans", "more"]
    assert arguments.marked(Mark) == {"who": Mark("guest")}


def test_the_schema_has_descriptions_and_no_titles(arguments):
    assert arguments.schema["properties"]["who"] == {"type": "string", "description": "the guest"}
    assert arguments.schema["required"] == ["who"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "serve: who is missing. It takes: who, beans, more."),
        ({"wh": "ann"}, "there is no wh. Did you mean 'who'?"),
        ({"who": "ann", "beans": "many"}, "beans is wrong: "),
        (["ann"], "arguments is wrong"),
    ],
)
def test_each_wrong_one_is_named(arguments, args, says):
    with pytest.raises(ValueError) as raised:
        arguments.checked(args)
    assert says in str(raised.value)


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("place", ["{0}", "x{0}y", "{0}{0}"])
def test_half_a_character_is_no_text_wherever_it_stands(arguments, place):
    broken = place.format("\ud800")
    for args in ({"who": broken}, {"who": "ann", "more": {"a": [broken]}}, {"who": "ann", "more": {broken: 1}}):
        with pytest.raises(ValueError, match="half a character"):
            arguments.checked(args)


def test_what_is_too_deep_is_refused_and_not_a_crash(arguments):
    with pytest.raises(ValueError, match="nested too deeply"):
        arguments.checked({"who": "ann", "more": nested(200_000)})
    arguments.checked({"who": "ann", "more": nested(50)})


def test_the_same_value_gives_the_same_text():
    assert as_json({"b": 1, "a": "é"}) == as_json({"a": "é", "b": 1}) == '{"a":"é","b":1}'
    assert as_json({2: Struct(Bean())}) == '{"2":{"bean":{"n":1}}}'
    assert plain([Struct(Bean(n=2)), 3 + 4j]) == [{"bean": {"n": 2}}, "(3+4j)"]
