"""Results that have to fit a JSON schema: is it one, and does this fit it. Nothing of it is judged in this process."""

from __future__ import annotations

from typing import Any

import msgspec

from aegis import Refused
from aegis_patterns.apart import Unjudged
from aegis_patterns.schema import check, faults
from aegis_queue.ending import plain
from aegis_queue.settings import QueuePluginSettings
from aegis_queue.task import Task

_FENCE = "```"


def within(limits: QueuePluginSettings, task: Task, result: Any) -> None:
    """Raise `Refused` when a result is too long, or nothing that can be stored."""
    try:
        size = len(plain(result).encode())
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise Refused(f"the result of task {task.id} is neither text nor JSON: {error}") from None
    if size > limits.max_result:
        raise Refused(
            f"the result of task {task.id} has {size:,} bytes, and plugins.queue.max_result allows "
            f"{limits.max_result:,}; put what is long into files and name them"
        )


class UnjudgedResult(Refused):
    """Whether the result fits cannot be told: the reason is the schema's, or the result's size and shape."""


async def checked(limits: QueuePluginSettings, schema: dict[str, Any]) -> None:
    """Raise `Refused` when this is no JSON schema, or too large a one."""
    if (size := len(plain(schema))) > limits.max_schema:
        raise Refused(
            f"result_schema has {size:,} characters, and plugins.queue.max_schema allows {limits.max_schema:,}"
        )
    try:
        why = await check(schema)
    except Unjudged as error:
        raise Refused(f"result_schema is no JSON schema that can be used: {error}") from None
    if why:
        raise Refused(f"result_schema is no JSON schema: {why}")


async def fitted(task: Task, result: Any) -> Any:
    """Return the result as it fits the task's schema; raises `Refused` with what does not fit.

    Text is read as JSON unless the schema wants a string: many models send JSON as text, and a last message is text.
    """
    if task.schema is None:
        return result
    if isinstance(result, str) and task.schema.get("type") != "string":
        try:
            result = msgspec.json.decode(_unfenced(result))
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            raise Refused(f"the result of task {task.id} must be JSON that fits its schema: {error}") from None
    try:
        wrong = await faults(task.schema, result)
    except Unjudged as error:
        raise UnjudgedResult(f"the result of task {task.id} cannot be judged by its schema: {error}") from None
    if wrong:
        raise Refused(f"the result of task {task.id} does not fit its schema: {'; '.join(wrong)}")
    return result


def _unfenced(text: str) -> str:
    """Return what stands in the code block that the text is, or the text."""
    words = text.strip()
    first, _, rest = words.partition("\n")
    if len(words) > 2 * len(_FENCE) and first in (_FENCE, f"{_FENCE}json") and rest.endswith(_FENCE):
        return rest.removesuffix(_FENCE)
    return text
