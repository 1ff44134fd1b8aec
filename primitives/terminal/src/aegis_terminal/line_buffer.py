"""Whole lines out of a stream, so that no secret is split when it is searched."""

from __future__ import annotations

from aegis_terminal.secrets import Secrets

_HELD = 16_384  # bytes of an unfinished line that are held back
_LONGEST = 4_096  # bytes that are held back of a longer one: a secret may have begun in them
_BEGIN, _END = b"-----BEGIN ", b"-----END "


class LineBuffer:
    """Output that was not taken yet; a private key is taken as one piece, however many lines it has."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._held = secrets, bytearray()

    def feed(self, data: bytes) -> None:
        """Add new output."""
        self._held += data

    def drop(self, most: int) -> None:
        """Keep no more than the newest lines, up to so many bytes."""
        if len(self._held) > most:
            cut = self._held.find(b"\n", len(self._held) - most) + 1
            del self._held[: cut or len(self._held)]

    def take(self) -> bytes:
        """Return the whole lines, and forget them."""
        held = self._held
        end = held.rfind(b"\n") + 1
        begun = held.rfind(_BEGIN, 0, end)
        if begun >= 0 and _END not in held[begun:end]:
            end = begun
        if len(held) - end > _HELD:
            end = len(held) - _LONGEST
            for a, b in self._secrets.spans(held.decode("latin-1")):
                if a < end < b:
                    end = a
        return self._taken(end)

    def rest(self) -> bytes:
        """Return everything, and forget it."""
        return self._taken(len(self._held))

    def _taken(self, end: int) -> bytes:
        data = bytes(self._held[:end])
        del self._held[:end]
        return data
