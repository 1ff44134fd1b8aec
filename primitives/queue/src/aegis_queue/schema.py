"""Results that have to fit a JSON schema: is it one, and does this fit it."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import msgspec

from aegis import Refused
from aegis_queue.task import Task

_FENCED = re.compile(r"\s*```(?:json)?\n(.*)\n\s*```\s*", re.DOTALL)


def checked(schema: dict[str, Any]) -> None:
    """Raise `Refused` when this is no JSON schema."""
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise Refused(f"result_schema is no JSON schema: {error.message}") from None


def fitted(task: Task, result: Any) -> Any:
    """Return the result as it fits the task's schema; raises `Refused` with what does not fit.

    Text is read as JSON unless the schema wants a string: many models send JSON as text, and a last message is text.
    """
    if task.schema is None:
        return result
    if isinstance(result, str) and task.schema.get("type") != "string":
        fenced = _FENCED.fullmatch(result)
        try:
            result = msgspec.json.decode(fenced[1] if fenced else result)
        except msgspec.DecodeError as error:
            raise Refused(f"the result of task {task.id} must be JSON that fits its schema: {error}") from None
    validator = jsonschema.validators.validator_for(task.schema)(task.schema)
    wrong = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(result)][:5]
    if wrong:
        raise Refused(f"the result of task {task.id} does not fit its schema: {'; '.join(wrong)}")
    return result
