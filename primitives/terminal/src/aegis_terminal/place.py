"""Where shells are met while they run: a private folder outside the project, which no backup or search walks into."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from aegis import AegisError

SOCKET = "attach.sock"


def place_of(root: Path) -> Path:
    """Return the folder for the project with this root; the path is short enough for a socket's."""
    name = sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"aegis-{os.getuid()}" / f"term-{name}"


def made(folder: Path) -> Path:
    """Make a folder that only this user may enter; raises `AegisError` when it is another's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for private in (folder.parent, folder):
            private.chmod(0o700)  # fails when the folder is another user's
    except OSError as error:
        raise AegisError(f"cannot keep what shells need in {folder}: {error}") from None
    return folder
