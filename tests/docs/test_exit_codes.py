"""A shell ends with the code of what it had done: no verb reports a failure as a value that looks like success."""

from __future__ import annotations

import inspect
import tempfile
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import workspace

from aegis import open_kernel
from aegis.clock import new_id
from aegis_cli.protocol import exit_code
from aegis_group.broadcast_verbs import NoQuorum, Result
from aegis_inbox.reopening import Reopened
from aegis_terminal.values import Run
from aegis_workflow.verbs import Ended

# Words by which a value says how something ended. A verb that acts and returns such a value says `exit_code`, too, or
# is here with the reason why what it returns is never a failure of what was asked.
ENDINGS = {"status", "state", "outcome", "ended", "exit", "timed_out", "error", "errors", "reason"}
NEVER_A_FAILURE = {
    "config reload": "raises when the files are wrong",
    "workflow run": "what was begun is running; with --wait a run that failed is raised",
    "workflow retry": "what was begun is running",
    "workflow decide": "what was decided is done",
    "workflow cancel": "raises unless the run is cancelled",
    "handoff": "returns a receipt of its own for a dead letter, which has an exit code",
    "message inbox": "what the messages tell of is not what was asked",
    "send": "returns a receipt of its own for a dead letter; with --wait a turn that failed is raised",
    "term spawn": "raises when the shell does not start",
}


def values(annotation: Any) -> list[Any]:
    """Return the types that a verb may return."""
    if get_origin(annotation) in (Union, UnionType, list, tuple):
        return [kind for part in get_args(annotation) for kind in values(part)]
    return [annotation]


def endings(kind: Any) -> set[str]:
    return ENDINGS & {f.name for f in msgspec.structs.fields(kind)} if isinstance(kind, type(msgspec.Struct)) else set()


async def test_every_verb_that_acts_says_how_it_ended():
    plugins = {m.folder.name: import_module(f"{m.package}.plugin") for m in workspace.plugins()}
    silent = {}
    with tempfile.TemporaryDirectory() as folder:
        async with open_kernel(Path(folder), plugins=plugins, environment={}) as kernel:
            for verb in kernel.verbs:
                returned = values(inspect.signature(verb.run, eval_str=True).return_annotation)
                if found := {kind.__name__: endings(kind) for kind in returned if endings(kind)}:
                    says = all(hasattr(kind, "exit_code") for kind in returned if endings(kind))
                    if not (verb.marks.read_only or says):
                        silent[verb.name] = found
    assert silent.keys() == NEVER_A_FAILURE.keys(), silent


def ran(**how: Any) -> Run:
    return Run(1, "x", "human:anna", "", **how)


def waited(kind: type[Result], ended: str, order: list[str], errors: dict[str, str] | None = None) -> Result:
    return kind(new_id(), ended, "", {}, order, None, None, errors or {}, [], {})


def workflow(status: str) -> Ended:
    return Ended("1", "x", status, "", "", "", "", 1, None, "", {})


CODES = [
    (ran(exit=0), 0), (ran(exit=7), 7), (ran(exit=130), 130), (ran(exit=1, timed_out=True), 124),
    (ran(timed_out=True), 124), (ran(killed_by_restart=True), 1), (ran(stderr="the shell died"), 1),
    ([ran(exit=0), ran(exit=3)], 3),
    (waited(Result, "any", ["a"], {"b": "lost"}), 0), (waited(Result, "all", ["a", "b"]), 0),
    (waited(Result, "all", ["a"], {"b": "errored"}), 1), (waited(Result, "all", []), 1),
    (waited(Result, "deadline", ["a"]), 124), (waited(Result, "veto", ["a"]), 1), (waited(Result, "canceled", []), 1),
    (waited(Result, "quorum", ["a"]), 0), (waited(NoQuorum, "all", ["a"]), 1), (waited(NoQuorum, "deadline", []), 124),
    (workflow("ok"), 0), (workflow("error"), 1), (workflow("cancelled"), 1), (workflow("needs attention"), 1),
    ([Reopened("a", "p", "resumed"), Reopened("b", "p", "skipped: no such provider")], 1),
    (Reopened("a", "p", "restarted"), 0),
    ("a text", 0), (None, 0), ({"exit_code": 3}, 0), ([], 0),
]  # fmt: skip


def test_a_value_says_the_exit_code():
    assert [(value, exit_code(value)) for value, _ in CODES] == CODES


def test_what_only_looks_has_done_what_was_asked():
    assert {exit_code(value, read_only=True) for value, _ in CODES} == {0}
