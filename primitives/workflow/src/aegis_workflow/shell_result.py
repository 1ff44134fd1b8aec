"""How a command of the shell ended."""

from __future__ import annotations

from typing import Any


class Done:
    """How a command ended: `done.exit` and `done["exit"]` alike, `returncode` as the standard library calls it."""

    def __init__(self, exit: int, stdout: str, stderr: str) -> None:  # noqa: A002
        self.exit, self.stdout, self.stderr = exit, stdout, stderr

    @property
    def returncode(self) -> int:
        """The exit code."""
        return self.exit

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"exit": self.exit, "stdout": self.stdout, "stderr": self.stderr}
