"""The hook that aegis-environment publishes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aegis import hookspec

if TYPE_CHECKING:
    from aegis_environment.secrets import SecretSource


@hookspec
def aegis_secret_sources() -> Iterable[SecretSource]:  # type: ignore[empty-body]
    """Return places to look `${secret:NAME}` up in; they are asked after aegis's own variables.

    Each has a `name`, an async method `find(name)` that returns the secret or None, and a method `names()` that returns
    those it may tell that it has.
    """
