"""A command that is installed and that the running kernel does not list for us: why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis.errors import NotFound
from aegis_cli.blocking_client import BlockingClient


def explain(kernel: BlockingClient, verb: Mapping[str, Any]) -> None:
    """Raise `NotFound` with what became of the plugin that has this verb, or `Refused` if the verb is not for us."""
    rows = {row["name"]: row for row in kernel.ask("plugins")}
    row = rows.get(verb["plugin"], {})
    if row.get("state") == "failed":
        raise NotFound(f"{verb['name']}: its plugin {verb['plugin']!r} cannot be used here: {row['error']}")
    if row.get("state") != "loaded":
        raise NotFound(
            f"{verb['name']}: its plugin {verb['plugin']!r} is not in use here (`plugins.disabled` in .aegis.yaml, or "
            "it was removed from the running kernel)"
        )
    for fault in kernel.ask("snapshot")["faults"]:
        if fault["final"] and fault["source"].partition(".")[0] == verb["plugin"]:
            raise NotFound(f"{verb['name']}: its plugin {verb['plugin']!r} is down ({fault['error']})")
    kernel.perform(verb["name"], {})  # it is there and was not listed: an agent's own shell is told why
