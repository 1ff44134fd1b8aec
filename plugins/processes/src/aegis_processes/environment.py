"""The variables of a process, and those of them that the processes it starts get."""

from __future__ import annotations

import os
from collections.abc import Mapping

BARE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ")


class Environment(dict[str, str]):
    """The variables of this process; an `exact` one was made for those it starts, which get all of it."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        super().__init__(os.environ if given is None else given)
        self.exact = given is not None

    def bare(self) -> dict[str, str]:
        """Return what another process gets when nobody adds to it."""
        return {name: value for name, value in self.items() if self.exact or name in BARE}
