"""Which version of a section each caller was last shown: a write that names no version is based on that one."""

from __future__ import annotations

_WHOLE = ""


class Seen:
    """Kept in memory only: after a restart a caller has to name the version or read again."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[tuple[str, str], int]] = {}

    def note(self, who: str, canvas: str, version: int, section: str = _WHOLE) -> None:
        """Remember that a caller was shown this version of a section, or of the whole canvas."""
        self._versions.setdefault(who, {})[canvas, section] = version

    def last(self, who: str, canvas: str, section: str) -> int:
        """Return the last version that a caller was shown, 0 when it was shown none."""
        versions = self._versions.get(who, {})
        return max(versions.get((canvas, section), 0), versions.get((canvas, _WHOLE), 0))

    def forget(self, who: str) -> None:
        """Forget what a caller was shown."""
        self._versions.pop(who, None)
