"""What a workflow takes, by its signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from aegis import Refused
from aegis.errors import listed
from aegis_workflow.catalogue import Function

_SEVERAL = ("list_type", "tuple_type", "set_type")


def argument_model(function: Function) -> type[BaseModel]:
    """Return the workflow's arguments as a pydantic model."""
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    kinds: dict[str, Any] = {
        p.name: (Any if p.annotation is p.empty else p.annotation, ... if p.default is p.empty else p.default)
        for p in parameters
    }
    return create_model("arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **kinds)


def arguments(function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the workflow's signature types them; raises `Refused` with what it takes."""
    model, given = argument_model(function), dict(given)
    try:
        try:
            value = model.model_validate(given)
        except ValidationError as error:  # a word where a list is wanted is the only one of it
            several = [e["loc"][0] for e in error.errors() if e["type"] in _SEVERAL and isinstance(e["input"], str)]
            if not several:
                raise
            value = model.model_validate(given | {name: [given[name]] for name in several if name in given})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
        raise Refused(f"{wrong}. It takes: {listed(model.model_fields) or 'nothing'}.") from None
    plain: dict[str, Any] = TypeAdapter(dict[str, Any]).dump_python(value.model_dump(), mode="json")
    return plain
