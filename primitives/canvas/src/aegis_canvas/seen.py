"""Which version each caller was last shown of a section: what it writes without saying more is based on that."""

from __future__ import annotations

_WHOLE = ""


class Seen:
    """Forgotten when aegis stops: a version that matters is named."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[tuple[str, str], int]] = {}

    def note(self, who: str, canvas: str, version: int, section: str = _WHOLE) -> None:
        """Remember that it was shown this version of a section, or of the whole canvas."""
        self._versions.setdefault(who, {})[canvas, section] = version

    def last(self, who: str, canvas: str, section: str) -> int:
        """Return the version it was shown last, 0 when it was shown none."""
        versions = self._versions.get(who, {})
        return max(versions.get((canvas, section), 0), versions.get((canvas, _WHOLE), 0))

    def forget(self, who: str) -> None:
        """Forget what was shown to one who is gone."""
        self._versions.pop(who, None)
