"""What a workflow takes, by its signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from aegis import Refused
from aegis.errors import listed
from aegis_workflow.catalogue import Function
from aegis_workflow.signatures import UNKNOWN

_SEVERAL = ("list_type", "tuple_type", "set_type")


def parameters(function: Function) -> list[inspect.Parameter]:
    """Return the parameters of a workflow after its engine."""
    own: inspect.Signature | None = getattr(function, "signature", None)
    if own is not None:
        return list(own.parameters.values())
    return list(inspect.signature(function, eval_str=True).parameters.values())[1:]


def shown(function: Function) -> str:
    """Return the parameters as people read them."""
    given = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) if p.kind is p.KEYWORD_ONLY else p for p in parameters(function)]
    return ", ".join(str(p.replace(default=...) if p.default is UNKNOWN else p) for p in given).replace("Ellipsis", "…")


def argument_model(function: Function) -> type[BaseModel]:
    """Return the workflow's arguments as a pydantic model."""
    kinds: dict[str, Any] = {p.name: _kind(p) for p in parameters(function)}
    return create_model("arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **kinds)


def _kind(parameter: inspect.Parameter) -> tuple[Any, Any]:
    kind = Any if parameter.annotation is parameter.empty else parameter.annotation
    if parameter.default is UNKNOWN:
        return kind | None if isinstance(kind, type) else Any, None
    return kind, ... if parameter.default is parameter.empty else parameter.default


def arguments(function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the workflow's signature types them; raises `Refused` with what it takes.

    What is not given is left to code that is not here, which knows its own defaults.
    """
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
    elsewhere = hasattr(function, "signature")
    plain: dict[str, Any] = TypeAdapter(dict[str, Any]).dump_python(
        value.model_dump(exclude_unset=elsewhere), mode="json"
    )
    return plain
