"""Which project a folder belongs to, and where its kernel is reached."""

from __future__ import annotations

import os
from pathlib import Path

from aegis.project import FILE, Project

_LONGEST = 100  # bytes; the system's own limit for a socket's path is 108 on Linux and 104 on macOS


def find_project_root(start: Path | None = None) -> Path:
    """Return the closest ancestor of `start` (default: the current folder) that is a project, else `start` itself."""
    here = (start or Path.cwd()).resolve()
    found = (f for f in (here, *here.parents) if (f / FILE).exists() or (f / ".aegis" / "state").is_dir())
    return next(found, here)


def socket_of(project: Project) -> Path:
    """Return the control socket: in the state folder, or in a private folder elsewhere when that path is too long."""
    path = project.state / "control.sock"
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    import hashlib  # noqa: PLC0415 - needed here only, paid for by every one-shot command
    import tempfile  # noqa: PLC0415 - the same

    name = hashlib.sha256(os.fsencode(project.root.resolve())).hexdigest()[:20]
    return Path(tempfile.gettempdir()) / f"aegis-{os.getuid()}" / f"{name}.sock"
