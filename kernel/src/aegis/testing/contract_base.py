"""What the halves of the driver contract share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from aegis.driver import Driver
from aegis.events import Event, Usage
from aegis.hookspecs import hookimpl
from aegis.testing.abilities import ABILITIES
from aegis.testing.scenarios import SCENES


class StagedDriver:
    """A driver and the stage its CLI plays on.

    `unstaged` are the scenes its CLI cannot be made to play, `lacks` the abilities it does not have: each with the
    reason. A test of an ability that is lacking asserts that it is.
    """

    unstaged: ClassVar[Mapping[str, str] | Collection[str]] = {}
    # How a turn may have ended that quitting cut off, by scene: "interrupted", unless the CLI is known to differ.
    cut_off: ClassVar[Mapping[str, Collection[str]]] = {}
    lacks: ClassVar[Mapping[str, str]] = {}
    bill: ClassVar[tuple[tuple[Usage, float | None], tuple[Usage, float | None]]] = (  # of the scenes `one` and `two`
        (Usage(5, output=2), 0.25),
        (Usage(7, output=3), 0.5),
    )

    @pytest.fixture
    def driver(self) -> Driver:
        """The driver under test."""
        raise NotImplementedError

    @pytest.fixture
    def stage(self) -> Mapping[str, Any]:
        """The keys of a profile whose CLI plays the scenes."""
        raise NotImplementedError

    @pytest.fixture
    def plugin(self, driver: Driver) -> object:
        """A plugin that offers the driver under test."""
        return _Offer(driver)

    @pytest.fixture(autouse=True)
    def _staged(self, request: pytest.FixtureRequest) -> None:
        """Skip what the driver says, in one place, that its CLI cannot play."""
        missing = self.missing(scene for marker in request.node.iter_markers("scene") for scene in marker.args)
        if missing:
            pytest.skip(f"not staged: {', '.join(missing)}: {'; '.join(dict.fromkeys(missing.values()))}")

    @classmethod
    def missing(cls, scenes: Iterable[str]) -> dict[str, str]:
        """Return which of the scenes the CLI cannot be made to play, and why."""
        given = cls.unstaged
        why = given if isinstance(given, Mapping) else dict.fromkeys(given, "its CLI cannot be made to play it")
        return {scene: why[scene] for scene in sorted(why.keys() & set(scenes))}

    @classmethod
    def lacking(cls) -> dict[str, str]:
        """Return the abilities the CLI does not have, and why; a bill that leaves something out says so itself."""
        silent = {} if all(usage.input or usage.output for usage, _ in cls.bill) else {"usage": "it counts no tokens"}
        silent |= {} if all(cost is not None for _, cost in cls.bill) else {"cost": "it does not say what a turn cost"}
        return silent | dict(cls.lacks)

    def test_what_it_cannot_play_are_scenes(self) -> None:
        assert set(self.unstaged) <= SCENES.keys()

    def test_what_it_lacks_are_abilities(self) -> None:
        assert set(self.lacks) <= ABILITIES.keys()


class _Offer:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @hookimpl
    def aegis_drivers(self) -> Iterable[Driver]:
        return [self._driver]


E = TypeVar("E", bound=Event)


def of(kind: type[E], events: Iterable[Event]) -> list[E]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]
