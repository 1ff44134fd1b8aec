"""What the halves of the driver contract share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from aegis.driver import Driver
from aegis.events import Event, Usage
from aegis.hookspecs import hookimpl
from aegis.testing.scenarios import SCENES


class StagedDriver:
    """A driver and the stage its CLI plays on."""

    unstaged: ClassVar[frozenset[str]] = frozenset()
    bill: ClassVar[tuple[tuple[Usage, float], tuple[Usage, float]]] = (  # of the scenes `one` and `two`
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
        marker = request.node.get_closest_marker("scene")
        missing = self.unstaged.intersection(marker.args if marker else ())
        if missing:
            pytest.skip(f"the CLI of this driver cannot play {', '.join(sorted(missing))}")

    def test_what_it_cannot_play_are_scenes(self) -> None:
        assert self.unstaged <= SCENES.keys()


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
