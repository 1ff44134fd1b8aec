"""Asking the person at this terminal whether a project is trusted, after showing what it would run."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress

from aegis.errors import AegisError
from aegis.project import FILE, Project, Untrusted
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.render import width_of
from aegis_printable.printable import printable
from aegis_processes.ancestry import Gone, origins
from aegis_processes.processes import FOR, MARK
from aegis_trust import shown
from aegis_trust.contents import Contents
from aegis_trust.state import known
from aegis_trust.trust import Trust

_SCREEN = 60  # lines of a change that are shown before the question; the rest when it is wanted
_MEANS = "What it names runs as you, with all your rights."


def trust_of(project: Project) -> Trust:
    """Return what this person trusts of the project."""
    return Trust(project.root, FILE, Untrusted)


def settle(project: Project, *, yes: bool) -> None:
    """Have the project trusted as it is: it is already, `yes` says so, or the person here does; raises `Untrusted`."""
    trust = trust_of(project)
    if not (why := trust.reason()):
        return
    contents = trust.look()
    if not yes and not at_terminal():
        raise Untrusted(why)
    refuse_agents()
    if not (yes or agreed(trust, contents)):
        raise Untrusted(f"{project.root} is not trusted as it is now, and nothing of it is run")
    accept(project, trust, contents, "--trust" if yes else "a question at the start")


def accept(project: Project, trust: Trust, contents: Contents, how: str) -> None:
    """Remember the person's yes, and let a running kernel know."""
    try:
        trust.accept(contents, how)
    except OSError as error:
        raise AegisError(f"what you trust cannot be kept: {error}") from None
    reload(project)


def reload(project: Project) -> None:
    """Have a running kernel read its files again, if one runs and can."""
    with suppress(AegisError), BlockingClient(project) as kernel:
        kernel.perform("config reload", {})


def at_terminal() -> bool:
    """Return whether a person can be asked here: a terminal that is ours to read."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()  # else it is in the background
    except OSError:
        return False


def refuse_agents() -> None:
    """Raise `Untrusted` when it is an agent that runs this command: trust is a person's word."""
    own = os.environ.get(FOR) or os.environ.get(MARK, "")
    try:
        above = [who for _, who in origins(os.getppid())]
    except Gone:
        above = []
    if agent := next(filter(None, [own, *above]), ""):
        raise Untrusted(f"what an agent runs ({agent}) cannot say that a project is trusted; ask a person")


def agreed(trust: Trust, contents: Contents) -> bool:
    """Show what would run, or what has changed, and return whether the person says yes."""
    changed = bool(trust.record.when)
    tell(overview(trust, contents))
    if changed:
        lines = shown.diff(trust, contents).splitlines()
        tell("\n".join(["", *lines[:_SCREEN], *([f"… {len(lines) - _SCREEN} more lines"] * (len(lines) > _SCREEN))]))
    while True:
        what = "Trust the change" if changed else "Trust this project"
        tell(f"\n{_MEANS} {what}? [y]es, [n]o, [s]how all of it: ", "")
        answer = sys.stdin.readline()
        if answer.strip().lower() in ("y", "yes"):
            return True
        if answer.strip().lower() not in ("s", "show"):
            return False
        tell(whole(trust, contents))


def tell(text: str, end: str = "\n") -> None:
    """Say it on stderr: what is asked is no part of what a command prints."""
    print(printable(text), end=end, file=sys.stderr, flush=True)


def overview(trust: Trust, contents: Contents) -> str:
    """Return what the project says and names, in short."""
    width = min(width_of(sys.stderr), 120)
    parts = [f"{trust.root}: {standing(trust, contents)}"]
    for title, entries in (("settings", shown.settings(contents)), ("files that count", shown.files(trust, contents))):
        if entries:
            parts.append(f"{title}\n{_listed(entries, width)}")
    if known(trust, Project(trust.root).state) == "foreign":
        parts.append("Its .aegis/state was not made here by you: it will be set aside, and nothing in it is believed.")
    return "\n\n".join(parts)


def whole(trust: Trust, contents: Contents) -> str:
    """Return all that the project says, and all that has changed."""
    entries = _listed(shown.settings(contents, whole=True), min(width_of(sys.stderr), 120))
    return "\n\n".join(filter(None, [entries, shown.diff(trust, contents)]))


def standing(trust: Trust, contents: Contents) -> str:
    """Return how it stands with the folder, as a sentence."""
    if trust.vouched:
        return "trusted whatever it says, because AEGIS_TRUSTED_FOLDERS names a folder around it."
    if not contents.settings and not contents.files:
        return "there is nothing in it that would run."
    changes = trust.differences(contents.settings)
    if not trust.record.when:
        return "not trusted. Nothing of it is run until you say so. It says this:"
    if changes:
        return f"changed since you trusted it ({trust.record.when}): {'; '.join(changes)}."
    return f"trusted as it is, since {trust.record.when}."


def _listed(entries: Sequence[shown.Entry], width: int) -> str:
    size = min(max(len(entry.name) for entry in entries), 30)
    room = max(width - size - 4, 30)
    lines = []
    for entry in entries:
        first, *rest = textwrap.wrap(printable(entry.says), room, break_on_hyphens=False) or [""]
        lines += [f"  {entry.name:<{size}}  {first}", *(f"  {'':<{size}}  {line}" for line in rest)]
    return "\n".join(lines)
