"""What an entry does when its time has come: a workflow is run, or a verb is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from aegis import AegisError, Caller, Kernel
from aegis_processes.cancellation import finish_despite_cancel
from aegis_schedule.settings import Entry
from aegis_schedule.store import EXCERPT
from aegis_signatures.plain import as_json, plain


class ActFailed(AegisError):
    """What was begun did not end well."""


def named(entry: Entry) -> str:
    """Return what the entry does, in a few words."""
    return entry.verb or f"workflow {entry.workflow}"


async def perform(kernel: Kernel, entry: Entry, caller: Caller, began: Callable[[str], Awaitable[None]]) -> str:
    """Return an excerpt of the result; raises what the verb or the run says.

    `began` is awaited with the id of the run. The call is the caller's act; a run that is stopped here is cancelled,
    and with it all that it spawned.
    """
    kernel.trust.require([entry.args, entry.workflow])
    if entry.verb:
        return excerpt(await kernel.verbs.call(caller, entry.verb, entry.args))
    asked = {"name": entry.workflow, "kwargs": entry.args, "callback": False}
    run = (await kernel.verbs.call(caller, "workflow run", asked)).workflow_id
    await began(run)
    ended = await kernel.verbs.call(Caller(caller.kind, caller.name), "workflow wait", {"workflow_id": run})
    if ended.status == "needs attention":
        decide = f"`aegis workflow decide {run} rerun|skip|fail` decides"
        raise ActFailed(f"run {run} needs attention: {ended.error}; {decide}")
    if ended.status != "ok":
        raise ActFailed(f"run {run} ended with {ended.status}: {ended.error}")
    return excerpt(ended.result)


async def cancel(kernel: Kernel, caller: Caller, run: str) -> None:
    """Cancel a run, if it goes on; the agents that it spawned are closed."""
    async with finish_despite_cancel():
        try:
            await kernel.verbs.call(Caller(caller.kind, caller.name), "workflow cancel", {"workflow_id": run})
        except Exception:  # noqa: BLE001 - it has ended already, is not here, or broke: that this one ended is stored anyway
            await trio.lowlevel.checkpoint()


def excerpt(value: Any) -> str:
    """Return the beginning of a result as text."""
    text = value if isinstance(value, str) else "" if value is None else as_json(plain(value))
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
