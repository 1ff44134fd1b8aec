"""`aegis ledger accept`: go on with the ledger that is here, though it is not the one that was here."""

from __future__ import annotations

from collections.abc import Sequence

from aegis.errors import Busy, LedgerError
from aegis_cli.shell import Shell, own_parser
from aegis_cli.stop import held
from aegis_ledger.continuity import Continuity


def run(shell: Shell, words: Sequence[str]) -> int:
    """Set aside what belongs to the former ledger, and say with what aegis goes on."""
    shell = shell.with_options(vars(own_parser("ledger accept").parse_args(words)))
    project = shell.project
    if held(project):
        raise Busy(f"aegis runs in {project.root} with its ledger; there is nothing to accept")
    continuity = Continuity(project.state / "ledger.db")
    if not (why := continuity.trouble()):
        shell.show({"accepted": False}, f"the ledger of {project.root} is the one that was here; nothing was changed")
        return 0
    try:
        done = continuity.accept()
    except OSError as error:
        raise LedgerError(f"nothing could be set aside: {error}") from None
    shell.show({"accepted": True, "trouble": why, "done": done}, done)
    return 0
