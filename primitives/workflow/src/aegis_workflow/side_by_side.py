"""Awaitables that run side by side: their results in order, or what the first failure was about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import trio

from aegis_workflow.errors import NeedsAttention, WorkflowError


async def side_by_side(
    works: Sequence[Awaitable[Any]], branch: Callable[[int], AbstractContextManager[Any]]
) -> list[Any]:
    """Return the results, each awaited inside its branch; the first failure stops the others."""
    results: list[Any] = [None] * len(works)

    async def one(number: int, work: Awaitable[Any]) -> None:
        with branch(number):
            results[number] = await work

    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            for number, work in enumerate(works):
                nursery.start_soon(one, number, work)
    except BaseExceptionGroup as group:
        failure = _first(group)
    if failure:
        raise failure
    return results


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: an order to stop, else that a person is needed, else a failure."""
    ranks = (NeedsAttention, WorkflowError, Exception)
    leaves: list[BaseException] = [group]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [e for leaf in leaves for e in getattr(leaf, "exceptions", (leaf,))]
    return min(leaves, key=lambda e: next((n for n, kind in enumerate(ranks) if isinstance(e, kind)), -1))
