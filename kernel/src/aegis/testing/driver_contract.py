"""What every driver keeps, towards the CLI it drives and towards aegis."""

from __future__ import annotations

from aegis.testing.agent_contract import AgentContract
from aegis.testing.session_contract import SessionContract


class DriverContract(SessionContract, AgentContract):
    """Override `driver` and `stage`; name in `unstaged` the scenes that your CLI cannot be made to play, with reasons.

    `stage()` returns the keys of a profile whose CLI plays the scenes of `aegis.testing.scenarios`: for a CLI that
    follows our scripts, `{"script": scenarios.SCRIPT}`.
    """
