"""An error crosses to another process as itself."""

from __future__ import annotations

import json

import pytest

from aegis.errors import AegisError, NotFound, Refused
from aegis_cli.protocol import rebuilt, told


def kinds(root: type[AegisError] = AegisError) -> list[type[AegisError]]:
    """Return the class and every class under it."""
    found = [kind for under in root.__subclasses__() for kind in kinds(under)]
    return [root, *found]


class Odd(Refused):
    """Takes other things than a sentence."""

    exit_code = 9

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} or {second}", both=[first, second])


def test_every_kind_survives_those_of_plugins_too() -> None:
    for kind in kinds():
        error = kind.__new__(kind)
        AegisError.__init__(error, "a sentence", count=3)
        again = rebuilt(str(error), json.loads(json.dumps(told(error))))
        assert type(again) is kind
        assert (str(again), again.data, again.exit_code) == ("a sentence", {"count": 3}, kind.exit_code)


def test_one_with_a_way_of_its_own_survives_too() -> None:
    again = rebuilt("1 or 2", told(Odd(1, 2)))
    assert (type(again), str(again), again.data, again.exit_code) == (Odd, "1 or 2", {"both": [1, 2]}, 9)


def test_one_that_is_not_known_is_the_nearest_that_is() -> None:
    again = rebuilt("no", {"type": "DiceError", "kinds": ["DiceError", "NotFound", "Refused", "AegisError"]})
    assert (type(again), again.exit_code) == (NotFound, 4)


@pytest.mark.parametrize("nonsense", [None, "ValueError", [], {}, {"kinds": ["ValueError"]}])
def test_what_says_nothing_is_an_error_all_the_same(nonsense: object) -> None:
    again = rebuilt("it broke", nonsense)
    assert (type(again), str(again), again.exit_code) == (AegisError, "it broke", 1)
