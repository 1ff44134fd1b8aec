"""`aegis trust`: what a project would run, what has changed of it, and a person's yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aegis.errors import AegisError
from aegis.project import Project, Untrusted
from aegis_cli import asking
from aegis_cli.shell import Shell, own_parser
from aegis_trust import shown
from aegis_trust.contents import Contents
from aegis_trust.records import Records
from aegis_trust.state import believe, known
from aegis_trust.trust import Trust

_MORE = """\
Until a person says yes, no CLI, workflow, script or plugin is started by what a project's .aegis.yaml, its overlays and
the files that they name say, and nothing in its .aegis/state is believed. The yes is for this content: a change is
shown and asked about. What you trust is kept in $XDG_STATE_HOME/aegis/trust (~/.local/state), never in the project.

A state that another user or another machine made is set aside as .aegis/state.set-aside-…. To take it back, stop aegis,
move that folder to .aegis/state, and say `aegis trust --believe-state`."""


def run(shell: Shell, words: Sequence[str]) -> int:
    """Do what the options say; without one, show what would run and ask."""
    parser = own_parser("trust", epilog=_MORE)
    what = parser.add_mutually_exclusive_group()
    for name, text in (
        ("--show", "show what would run and what has changed since it was trusted, and ask nothing"),
        ("--yes", "trust the project as it is, without a question"),
        ("--revoke", "trust nothing of the project any more"),
        ("--list", "list the folders you trust"),
        ("--believe-state", "take the .aegis/state that is there for your own"),
    ):
        what.add_argument(name, action="store_true", help=text)
    given = vars(parser.parse_args(words))
    shell = shell.with_options(given)
    project = shell.project
    trust = asking.trust_of(project)
    if given.get("list"):
        shell.show([_row(record) for record in Records().all() if record.when])
    elif given.get("show"):
        contents = trust.look()
        text = "\n\n".join(filter(None, [asking.overview(trust, contents), shown.diff(trust, contents)]))
        shell.show(_described(project, trust, contents), text)
    elif given.get("revoke"):
        asking.refuse_agents()
        said = "is not trusted any more" if trust.revoke() else "was not trusted"
        asking.reload(project)
        shell.show({"folder": str(project.root), "trusted": False}, f"{project.root} {said}")
    elif given.get("believe_state"):
        _believe(shell, project, trust)
    else:
        _trust(shell, project, trust, yes=given.get("yes", False))
    return 0


def _trust(shell: Shell, project: Project, trust: Trust, *, yes: bool) -> None:
    contents = trust.look()
    if trust.reason():
        asking.refuse_agents()
        if not yes:
            if not asking.at_terminal():
                raise Untrusted(f"{trust.reason()}; here is no terminal to ask at, and `aegis trust --yes` says yes")
            if not asking.agreed(trust, contents):
                raise Untrusted(f"{project.root} is not trusted as it is now, and nothing of it is run")
        asking.accept(project, trust, contents, "aegis trust --yes" if yes else "aegis trust")
    shell.show(_described(project, trust, contents), f"{project.root}: {asking.standing(trust, contents)}")


def _believe(shell: Shell, project: Project, trust: Trust) -> None:
    asking.refuse_agents()
    try:
        believe(trust, project.state)
    except OSError as error:
        raise AegisError(str(error)) from None
    shell.show({"state": str(project.state)}, f"{project.state} is your own from now on")


def _described(project: Project, trust: Trust, contents: Contents) -> dict[str, Any]:
    return {
        "folder": str(project.root),
        "trusted": not trust.reason(),
        "reason": trust.reason(),
        "changes": [] if trust.vouched else trust.differences(contents.settings),
        "settings": dict(shown.settings(contents, whole=True)),
        "files": dict(shown.files(trust, contents)),
        "diff": shown.diff(trust, contents),
        "state": known(trust, project.state),
        "since": trust.record.when,
        "by": trust.record.by,
    }


def _row(record: Any) -> dict[str, Any]:
    there = Path(record.folder).is_dir()
    return {"folder": record.folder, "since": record.when, "by": record.by, "": "" if there else "is gone"}
