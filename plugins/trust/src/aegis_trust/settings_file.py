"""The settings file of a folder as it is read by what runs: with trusted content only, and kept so by edits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aegis_trust.trust import Trust
from aegis_yamlfile.yamlfile import YamlFile


class TrustedFile(YamlFile):
    """Reads settings and overlays that a person trusts, and no others."""

    def __init__(self, trust: Trust, error: type[Exception]) -> None:
        super().__init__(trust.root / trust.main, error)
        self._trust, self._texts, self._written = trust, dict[str, bytes](), ""

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

    def load(self, text: str | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the document and its plain values; raises the error of what is not trusted."""
        self._written = self._written if text is None else text
        return super().load(text)

    def overlays(self, section: str) -> list[YamlFile]:
        """Return the overlays of the section as they were when the file was read."""
        if self._trust.vouched:
            return super().overlays(section)
        place = f".aegis{os.sep}{section}{os.sep}"
        return [_Text(self.path.parent / n, self.error, t) for n, t in self._texts.items() if n.startswith(place)]

    def accepted(self, by: str) -> str:
        """Trust what an edit has just written if it was a person's; else return why it waits."""
        if self._trust.vouched:
            return ""
        if not by or by.startswith("agent:"):
            return self._trust.reason()
        self._texts = {**self._texts, self._trust.main: self._written.encode()}
        self._trust.accept(self._trust.look(self._texts), by)
        return ""


class _Text(YamlFile):
    """A file whose text is known."""

    def __init__(self, path: Path, error: type[Exception], text: bytes) -> None:
        super().__init__(path, error)
        self._known = text

    def _text(self) -> str:
        try:
            return self._known.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{self.path} cannot be read: {error}") from None
