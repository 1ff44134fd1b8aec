"""One call as a workflow: what schedules begin."""

from __future__ import annotations

from typing import Any


async def prompt(engine: Any, agent: str, text: str = "", message: str = "") -> str:
    """Say something to a new agent of a profile (`default`: the default agent's) and return its reply."""
    if not (text or message):
        raise ValueError("there is nothing to say: `text` (or `message`) is empty")
    handle = await engine.spawn("" if agent == "default" else agent)
    reply: str = await engine.send(handle, text or message)
    return reply


async def enqueue(engine: Any, queue: str, payload: str, callback: bool = False, wait: bool = False) -> str:
    """Hand a task to a queue and return its id; with `wait` the run ends with the task, and has its result."""
    if wait:
        result: str = await engine.delegate(queue, payload, callback=callback)
        return result
    task: str = await engine.enqueue(queue, payload, callback=callback)
    return task
