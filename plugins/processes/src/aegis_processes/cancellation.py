"""Cancellation and crashes: work that is finished although its task is cancelled, and why a group of tasks ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

_GRACE = 0.5  # seconds that what is inside has once its task is cancelled


@asynccontextmanager
async def finish_despite_cancel(limit: float = float("inf"), grace: float = _GRACE) -> AsyncIterator[trio.CancelScope]:
    """Go on inside although cancelled, for `grace` seconds then and `limit` in all; the scope tells which passed."""
    now = trio.current_time()
    cancelled = trio.current_effective_deadline() <= now
    scope = trio.CancelScope(shield=True, deadline=now + (min(limit, grace) if cancelled else limit))
    if cancelled:  # the usual case, in which nobody needs to wait for it
        with scope:
            yield scope
        return
    failure: Exception | None = None

    async def hurry() -> None:
        try:
            await trio.sleep_forever()
        finally:
            scope.deadline = min(scope.deadline, trio.current_time() + grace)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hurry)
        with scope:
            try:
                yield scope
            except Exception as error:  # noqa: BLE001 - raised again outside the nursery, which would wrap it
                failure = error
        nursery.cancel_scope.cancel()
    if failure:
        raise failure


async def done_in(nursery: trio.Nursery, change: Callable[[], Awaitable[None]]) -> None:
    """Have it done whole in the nursery, also when the caller is cancelled or ends by it; raises what it raises."""
    over, errors = trio.Event(), list[Exception]()

    async def run() -> None:
        try:
            await change()
        except Exception as error:  # noqa: BLE001 - raised again to who asked
            errors.append(error)
        finally:
            over.set()

    nursery.start_soon(run)
    await over.wait()
    for error in errors:
        raise error


async def send_whole(stream: trio.abc.SendStream, data: bytes, seconds: float) -> bool:
    """Send all of the data, or break the stream, so that nothing follows half a line; return whether it was sent."""
    async with finish_despite_cancel(seconds) as scope:
        await stream.send_all(data)
    if scope.cancelled_caught:
        await trio.aclose_forcefully(stream)
    return not scope.cancelled_caught


async def first_of(*events: trio.Event) -> None:
    """Wait until one of the events is set."""
    async with trio.open_nursery() as nursery:

        async def one(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(one, event)


def root_cause(error: BaseException, first: type[Exception] = Exception) -> BaseException:
    """Return what matters most in nested groups: an order to end, one of `first`, another error, a cancellation."""
    leaves: list[BaseException] = [error]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [e for leaf in leaves for e in getattr(leaf, "exceptions", (leaf,))]

    ranks = (first, Exception, trio.Cancelled)
    return min(leaves, key=lambda leaf: next((n for n, kind in enumerate(ranks) if isinstance(leaf, kind)), -1))
