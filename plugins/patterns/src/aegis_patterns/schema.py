"""JSON schemas that others wrote: is it one, and what of a value does not fit it. Nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aegis_patterns.apart import Unjudged, apart

_TOLD, _SAID = 5, 300  # faults, and characters of one


async def check(schema: Any) -> str:
    """Return why this is no JSON schema that can be used, empty when it is one; raises `Unjudged`."""
    return str((await apart(f"{__name__}:judged", {"schema": schema}))["schema"])


async def faults(schema: Any, value: Any) -> list[str]:
    """Return what of the value does not fit the schema, the first few faults; raises `Unjudged`."""
    answer = await apart(f"{__name__}:judged", {"schema": schema, "value": value})
    if answer["schema"]:
        raise Unjudged(answer["schema"])
    return list(answer["value"])


def judged(question: dict[str, Any]) -> dict[str, Any]:
    """Return what is wrong with the schema, and with the value if there is one; runs in a child."""
    import jsonschema  # noqa: PLC0415 - only the child needs it
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - the same

    schema = question["schema"]
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        return {"schema": _cut(error.message), "value": []}
    if foreign := next(_foreign(schema), ""):
        return {"schema": _cut(f"nothing is fetched, and {foreign!r} is not in it"), "value": []}
    if "value" not in question:
        return {"schema": "", "value": []}
    validator = _linear(kind)(schema, registry=_known())
    found: list[str] = []
    try:
        for fault in validator.iter_errors(question["value"]):
            found.append(f"{_cut(fault.json_path)}: {_cut(fault.message)}")
            if len(found) == _TOLD:
                break
    except Unresolvable as error:
        return {"schema": _cut(f"its reference {error.ref!r} leads nowhere"), "value": []}
    except re.error as error:
        return {"schema": _cut(f"a pattern of it is no regular expression: {error}"), "value": []}
    return {"schema": "", "value": found}


def _cut(text: str) -> str:
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def _known() -> Any:
    """Return the published schemas of JSON schema itself; with these in hand the validator fetches nothing."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # noqa: PLC0415 - only the child needs it

    return REGISTRY


def _foreign(schema: Any) -> Iterator[str]:
    """Yield each reference to another place than this schema, or those of JSON schema itself."""
    inside, todo = {str(uri).rstrip("#") for uri in _known()}, [schema]
    wanted = []
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            inside |= {str(part[name]).rstrip("#") for name in ("$id", "id") if isinstance(part.get(name), str)}
            wanted += [part[name] for name in ("$ref", "$dynamicRef") if isinstance(part.get(name), str)]
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    for reference in wanted:
        place = reference.partition("#")[0]
        if ":" in place and place not in inside:
            yield reference


def _linear(kind: Any) -> Any:
    """Return the kind of validator with patterns in a linear engine; what that does not know, `re` judges."""
    import jsonschema  # noqa: PLC0415 - only the child needs it
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - the same

    options = re2.Options()
    options.log_errors = False
    compiled: dict[str, Any] = {}

    def found(pattern: str, text: str) -> bool:
        if pattern not in compiled:
            try:
                compiled[pattern] = re2.compile(pattern, options).search
            except (re2.error, UnicodeEncodeError):
                compiled[pattern] = re.compile(pattern).search
        return compiled[pattern](text) is not None

    def pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not found(wanted, instance):
            yield jsonschema.ValidationError(f"{_cut(repr(instance))} does not match {wanted!r}")

    def pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        for each, subschema in wanted.items() if validator.is_type(instance, "object") else ():
            for name, value in instance.items():
                if found(each, name):
                    yield from validator.descend(value, subschema, path=name, schema_path=each)

    extend: Any = jsonschema.validators.extend
    return extend(kind, {"pattern": pattern, "patternProperties": pattern_properties})
