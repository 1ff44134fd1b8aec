"""The private folder of running shells: outside the project, so that no backup or search enters it."""

from __future__ import annotations

from pathlib import Path

from aegis.project import Project

SOCKET = "attach.sock"


def socket_folder(project: Project) -> Path:
    """Return where the shells of the kernel that runs there have their pipes, and people attach.

    Raises `AegisError` when the kernel has no place for sockets, `FileNotFoundError` when none ever ran.
    """
    return project.runtime() / "term"
