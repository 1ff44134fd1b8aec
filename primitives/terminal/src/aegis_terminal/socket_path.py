"""The private folder of running shells: outside the project, so that no backup or search enters it."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from aegis import AegisError

SOCKET = "attach.sock"


def socket_folder(root: Path) -> Path:
    """Return the folder of the project with this root; the path is short enough for a socket."""
    name = sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"aegis-{os.getuid()}" / f"term-{name}"


def private_folder(folder: Path) -> Path:
    """Create the folder so that only this user may enter it; raises `AegisError` when it is another user's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for private in (folder.parent, folder):
            private.chmod(0o700)  # fails when the folder is another user's
    except OSError as error:
        raise AegisError(f"cannot keep what shells need in {folder}: {error}") from None
    return folder
