"""Whose a file is, and who else may change it: what is asked before anything in it is believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

ROOT = 0  # the system: who has that account needs no tricks
_OWN = "work in a folder of your own"
_ACL = "system.posix_acl_access"


class NotPrivate(Exception):
    """Another account owns it or may change it, or it is a link; the text says which, and what to do."""


def owner(seen: os.stat_result) -> str:
    """Return the name of the file's owner."""
    import pwd  # noqa: PLC0415 - needed for a sentence only, paid for by every one-shot command

    try:
        return pwd.getpwuid(seen.st_uid).pw_name
    except KeyError:
        return f"user {seen.st_uid}"


def ours(seen: os.stat_result) -> bool:
    """Return whether it is this user's, or root's, who may do anything anyway."""
    return seen.st_uid in (os.geteuid(), ROOT)


def others_may_write(seen: os.stat_result, path: str | Path | int) -> bool:
    """Return whether another account than the owner's may write: a group of one person's own is nobody else."""
    if seen.st_mode & stat.S_IWOTH:
        return True
    return bool(seen.st_mode & stat.S_IWGRP) and not (_group_of_one(seen) and not _more_rights(path))


def _group_of_one(seen: os.stat_result) -> bool:
    import grp  # noqa: PLC0415 - as above
    import pwd  # noqa: PLC0415

    try:
        person, group = pwd.getpwuid(seen.st_uid), grp.getgrgid(seen.st_gid)
    except KeyError:
        return False
    own = (group.gr_gid, group.gr_name) == (person.pw_gid, person.pw_name)
    return own and not set(group.gr_mem) - {person.pw_name}


def _more_rights(path: str | Path | int) -> bool:
    """Return whether there is an access list: what looks like the group's rights may then be those of any account."""
    try:
        return bool(os.getxattr(path, _ACL))
    except (OSError, AttributeError):  # it has none, or the system has no such lists
        return False


def why_not_ours(path: Path, seen: os.stat_result, opened: str | Path | int | None = None) -> str:
    """Return why nobody should rely on this file or folder, empty when it is this user's (or root's) alone."""
    if not ours(seen):
        return (
            f"{path} belongs to another user ({owner(seen)}), who may change it at any time; aegis uses only what is "
            f"yours: take it over (`chown`), or {_OWN}"
        )
    if others_may_write(seen, path if opened is None else opened):
        mode, meant_so = stat.S_IMODE(seen.st_mode), seen.st_mode & stat.S_ISVTX or seen.st_uid != os.geteuid()
        remedy = "" if meant_so else f"take that away (`chmod go-w {path}`), or "
        return f"other accounts may write to {path} (mode {mode:04o}), so what is there may be theirs; {remedy}{_OWN}"
    return ""


def climb(start: Path) -> Iterator[Path]:
    """Yield the folder and those above it, up to one that another user owns or may write to, which is left out.

    `start` itself is always there: whoever uses it finds out why it cannot be relied on.
    """
    yield start
    here = start
    while _is_ours(here) and here.parent != here and _is_ours(here.parent):
        here = here.parent
        yield here


def _is_ours(folder: Path) -> bool:
    try:
        seen = folder.stat()
    except OSError:
        return False
    return ours(seen) and not others_may_write(seen, folder)


def why_movable(path: Path) -> str:
    """Return which folder above lets others put another one in this one's place, empty when none does."""
    below, here = path.stat(), path
    while here.parent != here:
        here = here.parent
        seen = here.stat()
        if not ours(seen):
            return f"{here} belongs to another user ({owner(seen)}), who may put another folder in the place of {path}"
        if others_may_write(seen, here) and not (seen.st_mode & stat.S_ISVTX and ours(below)):
            return (
                f"other accounts may write to {here} (mode {stat.S_IMODE(seen.st_mode):04o}) and so put another folder "
                f"in the place of {path}; take that away (`chmod go-w {here}`, or `chmod +t {here}`)"
            )
        below = seen
    return ""
