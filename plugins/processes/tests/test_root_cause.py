"""Of the errors in a group of tasks, the one that is told."""

from __future__ import annotations

import pytest
import trio

from aegis_processes.cancellation import root_cause


class Ours(Exception):
    """An error of the caller's own."""


def test_the_chosen_kind_comes_first_then_any_error() -> None:
    ours, other = Ours(), ValueError()
    group = ExceptionGroup("a", [other, ExceptionGroup("b", [OSError(), ours])])
    assert root_cause(group, Ours) is ours
    assert root_cause(group) is other
    assert root_cause(other, Ours) is other


def test_an_order_to_end_comes_before_every_error() -> None:
    order = KeyboardInterrupt()
    assert root_cause(BaseExceptionGroup("a", [Ours(), order]), Ours) is order


async def test_a_cancellation_comes_last() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled) as caught:
            await trio.lowlevel.checkpoint()
    error = ValueError()
    assert root_cause(BaseExceptionGroup("a", [caught.value, error])) is error
