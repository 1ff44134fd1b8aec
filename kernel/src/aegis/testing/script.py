"""Scripts: what an agent without a model says and does. Standard library only, so that a fake CLI starts at once.

A script is a list of rules. For each message of a prompt the first rule whose `when`, a regular expression, is found
in it (header and all) is followed; `once: true` uses a rule up; a rule without `when` fits everything.

    - when: tell (?P<who>\\S+) (?P<what>.+)
      do:
        - call: aegis_handoff
          args: {target_handle: "{who}", context: "{what}"}
          save_as: receipt
        - say: "Done: {receipt}"

Words in braces are replaced: `handle` (its own), `sender`, `id` and `body` of the message, `turn` (its number in the
conversation), `before` (the body before this one), `primer`, `reply` (what the last tool answered), what was saved, and
the groups of `when` by name or number; other braces stay. The steps are the keys of `STEPS`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Rule = Mapping[str, Any]

# What a step is called → what else it may say. Its own value is described on the right.
STEPS: dict[str, frozenset[str]] = {
    "say": frozenset(),  # text
    "think": frozenset(),  # text
    "line": frozenset(),  # so many characters, said as one line
    "call": frozenset({"args", "server", "save_as"}),  # a tool of the agent's plane
    "ask": frozenset({"input", "save_as"}),  # a tool: wait for permission, and if it comes pretend to use it
    "edit": frozenset({"text", "save_as"}),  # a path: wait for permission, then write the text there
    "shell": frozenset({"background", "save_as"}),  # a command, run in a session of its own
    "wait": frozenset(),  # seconds, or {file: path}
    "usage": frozenset(),  # {input, output, cache_read, cache_write, cost} of this turn
    "fail": frozenset({"outcome"}),  # why the model gives up: the turn ends as `failed`, or `refused`, `truncated`
    "never_end": frozenset(),  # true
    "exit": frozenset(),  # exit code, once the turn is over
    "crash": frozenset(),  # exit code or signal name, now
    "deaf": frozenset(),  # text, said once it reads nothing any more and does not obey SIGTERM; the turn never ends
    "close_stdout": frozenset(),  # true: say no more, live on
    "stderr": frozenset(),  # so many bytes of complaints
    "raw": frozenset(),  # text, written as it is
    "malformed": frozenset(),  # true: lines that are no message
}
_RULE = frozenset({"when", "once", "do"})
_HEADER = re.compile(r"^> from (?P<sender>\S+)[^\n]*\n(?:> id (?P<id>\S+)[^\n]*\n)?", re.MULTILINE)
_WORD = re.compile(r"\{(\w+)\}")


class ScriptError(ValueError):
    """The script cannot be followed; the text says where and why."""


class Letter(NamedTuple):
    """One message of a prompt: `text` is all of it, `body` what is under its header."""

    sender: str
    id: str
    body: str
    text: str


def letters(prompt: str) -> list[Letter]:
    """Return the messages of the prompt, in order; one without a header is a message from nobody."""
    heads = list(_HEADER.finditer(prompt))
    if not heads or prompt[: heads[0].start()].strip():
        return [Letter("", "", prompt, prompt)]
    ends = [head.start() for head in heads[1:]] + [len(prompt)]
    pieces = zip(heads, ends, strict=True)
    return [
        Letter(h["sender"], h["id"] or "", body := _plain(prompt[h.end() : end].strip("\n")), f"{h[0]}{body}")
        for h, end in pieces
    ]


def _plain(body: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in body.split("\n"))


def filled(value: Any, names: Mapping[str, Any]) -> Any:
    """Return the value with the words in braces replaced, in the strings of lists and mappings too."""
    if isinstance(value, str):
        return _WORD.sub(lambda found: str(names.get(found[1], found[0])), value)
    if isinstance(value, Mapping):
        return {key: filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, names) for inner in value]
    return value


def fitting(rules: Sequence[Rule], letter: Letter, used: Sequence[int] = ()) -> tuple[int, dict[str, str]] | None:
    """Return the number of the first rule that fits and is not used up, and its groups; None when none does."""
    for number, rule in enumerate(rules):
        if rule.get("once") and number in used:
            continue
        if found := re.search(rule.get("when", ""), letter.text, re.MULTILINE):
            groups = {str(n): group or "" for n, group in enumerate(found.groups(), 1)}
            return number, groups | {name: group or "" for name, group in found.groupdict().items()}
    return None


def kind(step: Mapping[str, Any]) -> str:
    """Return which step this is."""
    return next(name for name in step if name in STEPS)


def check(script: Any) -> list[Rule]:
    """Return the script's rules; raises `ScriptError` naming rule and step when it cannot be followed."""
    if not isinstance(script, list):
        raise ScriptError("a script is a list of rules")
    for number, rule in enumerate(script, 1):
        where = f"rule {number}"
        if not isinstance(rule, Mapping) or not isinstance(rule.get("do"), list):
            raise ScriptError(f"{where} is no mapping with a list of steps under `do:`")
        _only(where, rule, _RULE)
        try:
            re.compile(rule.get("when", ""))
        except (re.error, TypeError) as error:
            raise ScriptError(f"{where}: `when` is no regular expression: {error}") from None
        for position, step in enumerate(rule["do"], 1):
            _check_step(f"{where}, step {position}", step)
    return script


def rules_of(file: str) -> list[Rule]:
    """Return the rules of the file, none without a name; one that cannot be followed ends the process, saying why."""
    try:
        return check(json.loads(Path(file).read_text(encoding="utf-8"))) if file else []
    except (OSError, ValueError) as error:
        sys.exit(f"the script {file} cannot be followed: {error}")


def _check_step(where: str, step: Any) -> None:
    kinds = [name for name in step if name in STEPS] if isinstance(step, Mapping) else []
    if len(kinds) != 1:
        raise ScriptError(f"{where} must be one of: {', '.join(STEPS)}")
    _only(where, step, STEPS[kinds[0]] | {kinds[0]})
    value = step[kinds[0]]
    if kinds[0] in ("line", "stderr", "exit") and type(value) is not int:
        raise ScriptError(f"{where}: `{kinds[0]}` is a whole number")
    if kinds[0] == "wait" and not (
        isinstance(value, int | float | str) or (isinstance(value, Mapping) and "file" in value)
    ):
        raise ScriptError(f"{where}: `wait` is a number of seconds, or `{{file: path}}`")


def _only(where: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    strange = sorted(str(name) for name in given if name not in known)
    if strange:
        raise ScriptError(f"{where} has no {strange[0]!r}; it may have: {', '.join(sorted(known))}")
