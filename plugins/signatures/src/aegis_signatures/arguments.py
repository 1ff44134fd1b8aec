"""The arguments of a typed function: a model that checks them, their JSON schema, and sentences on what is wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from aegis_signatures.plain import as_json

M = TypeVar("M")
Hint = Callable[[str, Sequence[str]], str]


class Arguments:
    """What a function takes after the first `skip` parameters; `hint` may end a sentence on a name that is unknown."""

    def __init__(self, name: str, function: Callable[..., Any], skip: int = 0, hint: Hint = lambda *_: "") -> None:
        self._name, self._function, self._skip, self._hint = name, function, skip, hint

    @cached_property
    def model(self) -> type[BaseModel]:
        """A pydantic model of the parameters, made when first needed."""
        parameters = list(inspect.signature(self._function, eval_str=True).parameters.values())[self._skip :]
        kinds: dict[str, Any] = {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters}
        return create_model(self._name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **kinds)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments."""
        schema = self.model.model_json_schema()
        for part in (schema, *schema.get("properties", {}).values()):
            part.pop("title", None)
        return schema

    @cached_property
    def names(self) -> list[str]:
        """The names of the parameters."""
        return list(self.model.model_fields)

    def marked(self, kind: type[M]) -> dict[str, M]:
        """Return the marks of this kind in the annotations, by parameter."""
        fields = self.model.model_fields
        return {name: mark for name, field in fields.items() for mark in field.metadata if isinstance(mark, kind)}

    def checked(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as their types; raises `ValueError` with a sentence on each wrong one."""
        try:
            as_json(args)
            model = self.model.model_validate(dict(args) if isinstance(args, Mapping) else args)
        except ValidationError as error:
            wrong = "; ".join(self._complaint(e) for e in error.errors())
        except ValueError as error:
            wrong = str(error)
        else:
            return {name: model.__dict__[name] for name in self.names}
        raise ValueError(f"{self._name}: {wrong}. It takes: {', '.join(self.names) or 'nothing'}.")

    def _complaint(self, error: Any) -> str:
        name = ".".join(map(str, error["loc"])) or "arguments"
        if error["type"] == "missing":
            return f"{name} is missing"
        if error["type"] == "extra_forbidden":
            return f"there is no {name}.{self._hint(name, self.names)}"
        return f"{name} is wrong: {error['msg'].removeprefix('Value error, ')}"
