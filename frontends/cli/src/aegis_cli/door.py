"""Where the kernel of a project is reached."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from aegis.project import Project

_LONGEST = 100  # bytes; the system's own limit for a socket's path is 108 on Linux and 104 on macOS


def socket_of(project: Project) -> Path:
    """Return the control socket: in the state folder, or in a private folder elsewhere when that path is too long."""
    path = project.state / "control.sock"
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    name = hashlib.sha256(os.fsencode(project.root.resolve())).hexdigest()[:20]
    return Path(tempfile.gettempdir()) / f"aegis-{os.getuid()}" / f"{name}.sock"
