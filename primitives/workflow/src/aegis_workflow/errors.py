"""How a workflow fails: on purpose, or because it must not go on."""

from __future__ import annotations

from typing import Any

from aegis import AegisError


class WorkflowError(AegisError):
    """The workflow cannot reach its end; raise it for a failure that was foreseen."""


class PredicateFailed(WorkflowError):
    """A command did not succeed, however often it was tried."""

    def __init__(self, cmd: str, result: dict[str, Any], attempts: int) -> None:
        said = (result.get("stderr") or result.get("stdout") or "").strip().splitlines()[-1:]
        why = f": {said[0]}" if said else ""
        super().__init__(f"`{cmd}` still exits with {result['exit']} after {attempts} attempts{why}")
        self.cmd, self.result, self.attempts = cmd, result, attempts


class BudgetExceeded(WorkflowError):
    """A budget does not let the work begin; `decision` is what aegis-budget said."""

    def __init__(self, message: str, queue: str = "", decision: dict[str, Any] | None = None) -> None:
        super().__init__(message, **(decision or {}))
        self.queue, self.decision = queue, decision or {}


class NonDeterminism(WorkflowError):
    """The workflow took another step than the one that is recorded at this place."""


class Unfinished(AegisError):
    """A record that is only looked at goes no further."""


class NeedsAttention(AegisError):
    """A step was under way when aegis stopped, and only a person can say what became of it."""

    def __init__(self, step: str, what: str, said: str = "") -> None:
        super().__init__(said or f"step {step} ({what}) was under way when aegis stopped, and may have had its effect")
        self.step = step


class ProjectCodeFailed(AegisError):
    """What the code of a project raised, and where; `foreseen` if it is an error of aegis's own kind."""

    def __init__(self, said: str, traceback: str, *, foreseen: bool) -> None:
        super().__init__(said if foreseen else f"unexpected: {said}")
        self.traceback = traceback
