"""What a shell learns of a verb's end: the error, whole and as itself, or the exit code of a value."""

from __future__ import annotations

from typing import Any

from aegis.errors import AegisError


def exit_code(value: Any, *, read_only: bool = False) -> int:
    """Return the exit code of a command whose verb returned this.

    It is 0 unless the value has an attribute `exit_code` of its own: of a list, the highest of its items. A verb that
    only looks has done what it was asked to, whatever it shows.
    """
    if read_only:
        return 0
    if isinstance(value, list):
        return max((exit_code(item) for item in value), default=0)
    own = getattr(value, "exit_code", 0)
    return own if isinstance(own, int) and 0 <= own <= 255 else 1


def told(error: AegisError) -> dict[str, Any]:
    """Return what another process is told of the error beside its sentence; `rebuilt` makes the error of it again."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, AegisError)]
    return {"type": kinds[0], "kinds": kinds, "exit_code": error.exit_code, "data": error.data}


def rebuilt(message: str, told: Any) -> AegisError:
    """Return the error again: of its own kind, or of the nearest one above it that this process knows."""
    told = told if isinstance(told, dict) else {}
    known = [AegisError]
    for kind in known:  # it grows meanwhile
        known += kind.__subclasses__()
    names = {kind.__name__: kind for kind in known}
    kind = next((names[name] for name in told.get("kinds", ()) if name in names), AegisError)
    error = kind.__new__(kind)
    AegisError.__init__(error, message, **told.get("data", {}))  # its own may take something else
    error.exit_code = told.get("exit_code", kind.exit_code)
    return error
