"""The state of a folder: whether this person's aegis made it, here. Another is set aside, and nothing is deleted."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate, why_movable
from aegis_private.umask import closed, users_mode
from aegis_trust.records import MARK, Records, mark_of
from aegis_trust.trust import Trust, TrustError

LOCK = "kernel.lock"  # the file that a kernel holds as long as it runs


def claim(trust: Trust, state: Path, error: type[Exception] = TrustError) -> None:
    """Have a state that is this folder's own; one made elsewhere gets another name, and `trust.said` says so.

    Raises the error when that cannot be.
    """
    if trust.vouched:
        return
    try:
        if state.is_symlink() or state.parent.is_symlink() or not _ours(trust.root):
            return  # whoever opens the state refuses it, and says why
        if os.path.lexists(state):
            if (mark := mark_of(state)) and mark in trust.record.states:
                return
            if _held(state):  # by a kernel whose records are elsewhere, or that is older than they are: it is running
                return
            aside = _set_aside(state)
            trust.said.append(
                f"the state in {state} was not made here by you: it is set aside as {aside.name}, and nothing in it is"
                f" believed (`aegis trust --help` says how it is taken back)"
            )
        _make(trust.records, str(trust.root), state)
    except OSError as failure:
        raise error(f"cannot keep state in {state}: {failure}") from None


def confirm(trust: Trust, state: Path, error: type[Exception] = TrustError) -> None:
    """Raise the error unless the state, whose lock is ours now, is this folder's own.

    Somebody else may have held the lock of a foreign one, so that it was left alone, and let it go.
    """
    if known(trust, state) != "own":
        raise error(f"another process held {state} a moment ago, and it was not made here by you; start once more")


def believe(trust: Trust, state: Path) -> None:
    """Take the state that is there for this folder's own from now on: a person says so."""
    if state.is_symlink() or not state.is_dir():
        raise FileNotFoundError(f"there is no state in {state}")
    mark = secrets.token_hex(16)
    trust.records.add_state(str(trust.root), mark)
    with suppress(FileNotFoundError):
        (state / MARK).unlink()
    _write(state / MARK, mark)


def _ours(root: Path) -> bool:
    try:
        Folder.open(root).close()
    except NotPrivate:
        return False
    return not why_movable(root)


def _make(records: Records, folder: str, state: Path) -> None:
    """Make the state with its id in it at once, so that nobody ever sees it without."""
    with closed():  # a umask can take away from the person, too
        with suppress(FileExistsError):
            state.parent.mkdir(mode=0o700)
            state.parent.chmod(users_mode(0o755) | 0o700)
        _make_in_it(records, folder, state)


def _make_in_it(records: Records, folder: str, state: Path) -> None:
    mark = secrets.token_hex(16)
    try:
        records.add_state(folder, mark)
    except OSError as error:
        why = f"{error.strerror or error} ({records.place}; XDG_STATE_HOME can name another place)"
        raise OSError(f"which state is yours cannot be written down: {why}") from None
    fresh = Path(tempfile.mkdtemp(dir=state.parent, prefix="state.new-"))  # it makes it 0700
    _write(fresh / MARK, mark)
    try:
        fresh.rename(state)
    except OSError:  # another process was faster, and its id is recorded too
        (fresh / MARK).unlink()
        fresh.rmdir()
        if not state.is_dir():
            raise


def _write(path: Path, mark: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{mark}\n")


def _held(state: Path) -> bool:
    try:
        descriptor = os.open(state / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _set_aside(state: Path) -> Path:
    """Rename the state, whatever it is, in the very folder in which it was found."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    parent = os.open(state.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for number in range(100):
            name = f"{state.name}.set-aside-{stamp}" + (f"-{number}" if number else "")
            try:
                os.lstat(name, dir_fd=parent)
            except FileNotFoundError:
                os.rename(state.name, name, src_dir_fd=parent, dst_dir_fd=parent)
                return state.with_name(name)
        raise FileExistsError(f"{state.with_name(name)} exists already")
    finally:
        os.close(parent)


def known(trust: Trust, state: Path) -> str:
    """Return what is to be thought of the state: it is the folder's `own`, `foreign`, or there is `none`."""
    if not os.path.lexists(state):
        return "none"
    return "own" if trust.vouched or mark_of(state) in trust.record.states else "foreign"
