"""How pytest runs `async def` tests and fixtures: each test in one `trio.run`, its async fixtures entered inside it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from aegis.testing.clock import TestClock

_MISSING = object()


class Promise:
    """An async fixture of a test that has not begun; `keep` makes its value, once, in the test's own task."""

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._function, self._arguments = function, arguments
        self._value: Any = _MISSING

    async def keep(self, stack: AsyncExitStack) -> Any:
        """Return the fixture's value; what follows its `yield` runs when the stack is left, the other way around."""
        if self._value is _MISSING:
            arguments = {name: await kept(value, stack) for name, value in self._arguments.items()}
            if inspect.isasyncgenfunction(self._function):
                opened = asynccontextmanager(self._function)(**arguments)
                self._value = await stack.enter_async_context(opened)
            else:
                self._value = await self._function(**arguments)
        return self._value


async def kept(value: Any, stack: AsyncExitStack) -> Any:
    """Return the value itself, or what it promises."""
    return await value.keep(stack) if isinstance(value, Promise) else value


def is_async(function: object) -> bool:
    """Return whether this is an async function or an async generator function."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def promise(function: Callable[..., Any], instance: object) -> Callable[..., Promise]:
    """Return a stand-in for an async fixture function that promises its value."""
    if instance is not None and inspect.ismethod(function) and isinstance(instance, type(function.__self__)):
        function = function.__func__.__get__(instance)  # pytest binds a class's fixtures to an instance of its own

    @functools.wraps(function)
    def made(**arguments: Any) -> Promise:
        return Promise(function, arguments)

    return made


def run(test: Callable[..., Awaitable[None]], fixtures: dict[str, Any], names: tuple[str, ...]) -> None:
    """Run the test under trio, on the clock among its fixtures if there is one."""
    clock = next((f.trio for f in fixtures.values() if isinstance(f, TestClock)), None)

    async def body() -> None:
        async with AsyncExitStack() as stack:
            values = {name: await kept(value, stack) for name, value in fixtures.items()}
            await test(**{name: values[name] for name in names})

    try:
        trio.run(body, clock=clock)
    except BaseExceptionGroup as group:
        leaf = single(group)
        if leaf is None:
            raise
        raise leaf from leaf.__cause__


def single(error: BaseException) -> BaseException | None:
    """Return the one error inside nested groups, None when there are several: a failed assert should look like one."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


def refuse(item: pytest.Function) -> None:
    """Fail a sync test that asks for an async fixture: nothing would run it."""
    promised = [name for name, value in item.funcargs.items() if isinstance(value, Promise)]
    if promised:
        pytest.fail(f"{item.name} is no async test, but its fixture {promised[0]!r} is async", pytrace=False)
