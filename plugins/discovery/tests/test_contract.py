"""Plugins are asked one by one; what is broken is named; hooks that plugins publish come and go with them."""

from __future__ import annotations

from typing import Any

import pluggy
import pytest

from aegis_discovery.discovery import Discovery, PluginError

hookspec, hookimpl = pluggy.HookspecMarker("zoo"), pluggy.HookimplMarker("zoo")


class Hooks:
    @hookspec
    def zoo_animals(self, hungry: bool) -> Any:
        """Return animals."""

    @hookspec
    def zoo_hookspecs(self) -> Any:
        """Return hook specs."""


class Given:
    """An object with these attributes; unlike a namespace it can be told from one that is equal."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def offers(*animals: str) -> Any:
    return Given(zoo_animals=hookimpl(lambda hungry: [f"{a}{hungry:d}" for a in animals]))


def found(**given: Any) -> Discovery:
    return Discovery("zoo", "zoo.plugins", Hooks, given=given)


def states(discovery: Discovery) -> dict[str, tuple[str, str]]:
    return {row.name: (row.state, row.error) for row in discovery.report()}


def test_each_is_asked_by_itself_and_a_broken_one_is_named() -> None:
    def broken(hungry: bool) -> Any:
        yield from ()
        raise ValueError("not today")

    zoo = found(a=offers("ant"), b=Given(zoo_animals=hookimpl(broken)), c=offers("cat", "cow"))
    assert list(zoo.offers("zoo_animals", hungry=True)) == [("a", "ant1"), ("c", "cat1"), ("c", "cow1")]
    assert zoo.answers("zoo_animals", "c", hungry=False) == [["cat0", "cow0"]]
    assert states(zoo)["b"] == ("failed", "ValueError: not today")


def nothing() -> list[str]:
    """Offer nothing."""
    return []


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        (Given(zoo_animal=hookimpl(nothing)), "'zoo_animal', a hook that nobody here publishes"),
        (Given(zoo_animals=hookimpl(lambda hungri: [])), "hungri"),
    ],
)
def test_a_misspelt_hook_or_argument_is_an_error(plugin: Any, why: str) -> None:
    zoo = found(a=offers("ant"), b=plugin)
    assert zoo.names == ["a"]
    state, error = states(zoo)["b"]
    assert state == "failed" and why in error


def test_a_hook_of_a_plugin_comes_and_goes_with_it() -> None:
    def zoo_plants() -> Any:
        """Return plants."""

    garden = Given(zoo_hookspecs=hookimpl(lambda: Given(zoo_plants=hookspec(zoo_plants))))
    grower = Given(zoo_plants=hookimpl(lambda: ["fern"], optionalhook=True))
    strict = Given(zoo_plants=hookimpl(lambda: ["rose"]))
    zoo = found(grower=grower)
    assert "zoo_plants" not in zoo.hooks()
    with pytest.raises(PluginError, match="'strict' cannot be used: it implements 'zoo_plants'"):
        zoo.load("strict", strict)
    zoo.load("garden", garden)
    zoo.load("strict", strict)
    assert zoo.hooks()["zoo_plants"] == "garden"
    assert list(zoo.offers("zoo_plants")) == [("grower", "fern"), ("strict", "rose")]
    with pytest.raises(PluginError, match="plugins 'garden' and 'other' both offer the hook 'zoo_plants'"):
        zoo.load("other", Given(**vars(garden)))
    zoo.drop("garden")
    assert "zoo_plants" not in zoo.hooks()
    with pytest.raises(PluginError, match="'nobody' cannot be used: it is not installed"):
        zoo.load("nobody")
