"""The settings file of a folder as it is read by what runs: with trusted content only, and kept so by edits."""

from __future__ import annotations

import os
from pathlib import Path

from aegis_trust.trust import Trust
from aegis_yamlfile.yamlfile import KnownText, YamlFile


class TrustedFile(YamlFile):
    """Reads settings and overlays that a person trusts, and no others."""

    def __init__(self, trust: Trust, error: type[Exception]) -> None:
        super().__init__(trust.root / trust.main, error)
        self._trust, self._texts = trust, dict[str, bytes]()
        self._edited: dict[str, bytes | None] = {}  # what an edit has just written; None: removed

    def _text(self) -> str:
        try:
            self._texts = self._trust.settings()
        except (OSError, ValueError) as error:
            raise self.error(str(error)) from None
        return self._decoded(self._texts.get(self._trust.main, b""), self.path)

    def _decoded(self, content: bytes, path: Path) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{path} cannot be read: {error}") from None

    def _put(self, real: Path, text: str | None) -> None:
        super()._put(real, text)
        main = real == self.path.resolve()
        name = self._trust.main if main else os.path.relpath(real, self._trust.root)
        self._edited = {name: None if text is None else text.encode()}

    def overlays(self, section: str) -> list[YamlFile]:
        """Return the overlays of the section as they were when the file was read."""
        if self._trust.vouched:
            return super().overlays(section)
        folder = self.path.parent / ".aegis" / section
        paths = {self.path.parent / name: text for name, text in self._texts.items()}
        known = {path: self._decoded(text, path) for path, text in paths.items() if path.parent == folder}
        return self._as_wanted(folder, [KnownText(path, self.error, text) for path, text in known.items()])

    def accepted(self, by: str) -> str:
        """Trust what an edit has just written if it was a person's; else return why it waits."""
        if self._trust.vouched:
            return ""
        if not by or by.startswith("agent:"):
            return self._trust.reason()
        now = {**self._texts, **self._edited}
        self._texts = {name: text for name, text in now.items() if text is not None}
        self._trust.accept(self._trust.look(self._texts), by)
        return ""
