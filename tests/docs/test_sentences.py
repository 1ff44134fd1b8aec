"""Everything a person can type or write has a sentence: each parameter of each verb, each setting."""

import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import workspace
from pydantic import TypeAdapter

from aegis import open_kernel


@pytest.fixture
async def everything():
    """Enter a kernel with every member."""
    plugins = {m.folder.name: import_module(f"{m.package}.plugin") for m in workspace.plugins()}
    with tempfile.TemporaryDirectory() as folder:
        async with open_kernel(Path(folder), plugins=plugins, environment={}) as kernel:
            yield kernel


def silent(where: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield each key of an object and of what it refers to that says nothing of itself."""
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, prop in part.get("properties", {}).items():
            if not prop.get("description"):
                yield f"{where} {name}"


async def test_every_parameter_of_every_verb_has_a_sentence(everything):
    found = {place for verb in everything.verbs for place in silent(verb.name, verb.schema)}
    assert found == set(), 'write `Annotated[str, Field(description="…")]`'


async def test_every_setting_has_a_sentence(everything):
    profiles = {name: TypeAdapter(everything.config.profile(name)[1].settings) for name in everything.config.names()}
    models = profiles | dict(everything.config.sections.items())
    found = {place for name, model in models.items() for place in silent(name, model.json_schema())}
    assert found == set(), 'write `Field(…, description="…")`'
