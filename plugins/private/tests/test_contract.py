"""What is this user's alone stays so, whatever others made before or change meanwhile."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_private.folder import Folder, read_file
from aegis_private.lock import is_held, locked, told
from aegis_private.ownership import NotPrivate, climb, others_may_write, why_movable
from aegis_private.peers import listening, peer
from aegis_private.runtime import LONGEST, runtime_folder
from aegis_private.state import State
from aegis_private.umask import closed, users_mode, users_umask

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")


@pytest.fixture
def folder(tmp_path):
    with Folder.open(tmp_path) as opened:
        yield opened


@pytest.fixture(params=[0o000, 0o022, 0o777])
def any_umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_closed_to_others_whatever_the_umask(folder, any_umask):
    state = folder.folder("state", make=True)
    state.replace("a/b.txt", b"x")
    os.close(state.open_file("c/d.txt", os.O_WRONLY | os.O_CREAT))
    state.secure("e.db")
    for made in (state.path, state.path / "a", state.path / "c"):
        assert mode(made) == 0o700
    for made in ("a/b.txt", "c/d.txt", "e.db"):
        assert mode(state.path / made) == 0o600


def test_what_others_may_read_is_closed_before_it_is_written_to(folder):
    wide = folder.path / "wide.txt"
    wide.touch()
    wide.chmod(0o666)
    with pytest.raises(NotPrivate, match="other accounts may write to"):
        folder.read("wide.txt")
    os.close(folder.open_file("wide.txt", os.O_WRONLY))
    assert mode(wide) == 0o600 and folder.read("wide.txt") == b""


@pytest.mark.parametrize("target", ["precious.txt", "nowhere"])
def test_no_link_is_followed_to_a_file(folder, target):
    precious = folder.path / "precious.txt"
    precious.write_text("precious")
    (folder.path / "way").symlink_to(target)
    for use in (folder.read, folder.secure, lambda n: folder.open_file(n, os.O_RDWR | os.O_CREAT | os.O_APPEND)):
        with pytest.raises(NotPrivate, match=f"is a link to {target}"):
            use("way")
    folder.replace("way", b"mine")
    assert not (folder.path / "way").is_symlink() and precious.read_text() == "precious"
    assert not (folder.path / "nowhere").exists()


def test_no_link_is_followed_to_a_folder(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to("elsewhere")
    for use in (lambda: folder.folder("state", make=True), lambda: folder.replace("state/x", b"x")):
        with pytest.raises(NotPrivate, match="is a link to elsewhere"):
            use()
    with pytest.raises(NotPrivate, match="is a link"):
        folder.remove("state/x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def bound(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, bound])
def test_only_a_file_is_a_file(folder, make, monkeypatch):
    monkeypatch.chdir(folder.path)
    make("thing")
    for use in (folder.read, folder.secure):
        with pytest.raises(NotPrivate, match="is not a file"):
            use("thing")


def test_a_hard_link_is_not_written_through(folder):
    precious = folder.path / "precious.txt"
    precious.write_text("precious")
    (folder.path / "kernel.lock").hardlink_to(precious)
    with pytest.raises(NotPrivate, match="hard link"):
        folder.secure("kernel.lock")
    folder.replace("kernel.lock", b"4711")
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "..", ""])
def test_no_name_leads_out(folder, name):
    for use in (folder.read, folder.secure, folder.remove, lambda n: folder.replace(n, b"")):
        with pytest.raises(NotPrivate, match="names no file"):
            use(name)


def test_what_is_done_is_done_in_the_folder_that_was_opened(folder):
    state = folder.folder("state", make=True)
    state.path.rename(folder.path / "moved")
    (folder.path / "state").mkdir()
    state.replace("x", b"x")
    assert (folder.path / "moved" / "x").exists() and not list((folder.path / "state").iterdir())


@as_root
def test_what_another_user_owns_is_not_used(folder):
    for name in ("state", "theirs"):
        (folder.path / name).mkdir(mode=0o700)
        os.chown(folder.path / name, NOBODY, NOBODY)
    (folder.path / "file").touch()
    os.chown(folder.path / "file", NOBODY, NOBODY)
    with pytest.raises(NotPrivate, match="belongs to another user"):
        folder.folder("state", make=True)
    with pytest.raises(NotPrivate, match="belongs to another user"):
        Folder.open(folder.path / "theirs")
    for use in (folder.read, folder.secure):
        with pytest.raises(NotPrivate, match="belongs to another user"):
            use("file")


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(NotPrivate, match=r"other accounts may write to .*chmod go-w"):
        Folder.open(tmp_path)
    tmp_path.chmod(0o1777)
    with pytest.raises(NotPrivate, match="work in a folder of your own"):
        Folder.open(tmp_path)


@as_root
def test_a_group_counts_unless_it_is_one_persons_own(tmp_path):
    tmp_path.chmod(0o770)
    assert not others_may_write(tmp_path.stat(), tmp_path)  # root's own group
    os.chown(tmp_path, 0, NOBODY)
    assert others_may_write(tmp_path.stat(), tmp_path)


@as_root
def test_an_access_list_counts_as_others(tmp_path):
    tmp_path.chmod(0o770)
    entries = [(1, 7, -1), (2, 7, NOBODY), (4, 7, -1), (16, 7, -1), (32, 0, -1)]  # owner, one user, group, mask, others
    listed = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, rights, who in entries
    )
    try:
        os.setxattr(tmp_path, "system.posix_acl_access", listed)
    except (OSError, AttributeError):
        pytest.skip("this file system has no access lists")
    assert others_may_write(tmp_path.stat(), tmp_path)


def test_the_way_up_ends_where_others_may_write(tmp_path):
    shared, own = tmp_path / "shared", tmp_path / "shared" / "own" / "deep"
    own.mkdir(parents=True)
    assert shared in climb(own) and tmp_path in climb(own)
    for wide in (0o777, 0o1777):
        shared.chmod(wide)
        assert list(climb(own)) == [own, own.parent]
        assert list(climb(shared)) == [shared]


@as_root
def test_the_way_up_ends_at_another_users_folder(tmp_path):
    own = tmp_path / "theirs" / "own"
    own.mkdir(parents=True)
    os.chown(own.parent, NOBODY, NOBODY)
    assert list(climb(own)) == [own]
    assert "may put another folder in the place of" in why_movable(own)


def test_others_cannot_put_another_folder_in_its_place(tmp_path):
    own = tmp_path / "shared" / "own"
    own.mkdir(parents=True)
    assert why_movable(own) == ""
    own.parent.chmod(0o777)
    assert "may write to" in why_movable(own)
    own.parent.chmod(0o1777)
    assert why_movable(own) == ""


def test_a_file_that_people_write_may_be_behind_a_link(tmp_path):
    file = tmp_path / "file.yaml"
    assert read_file(file) is None
    file.symlink_to("real.yaml")
    with pytest.raises(NotPrivate, match=r"is a link to real.yaml, which does not exist"):
        read_file(file)
    (tmp_path / "real.yaml").write_text("a: 1")
    assert read_file(file) == b"a: 1" and read_file(file, most=2) == b"a:"
    (tmp_path / "real.yaml").chmod(0o666)
    with pytest.raises(NotPrivate, match="other accounts may write"):
        read_file(file)


@pytest.mark.parametrize(
    ("make", "why"), [(os.mkfifo, "is not a file"), (os.mkdir, "is a directory"), (lambda p: p.symlink_to(p), "read")]
)
def test_what_is_no_file_is_said_and_does_not_hang(tmp_path, make, why):
    make(tmp_path / "file.yaml")
    with pytest.raises(NotPrivate, match=why):
        read_file(tmp_path / "file.yaml")


@as_root
def test_a_file_of_another_user_is_not_read(tmp_path):
    (tmp_path / "file.yaml").touch()
    os.chown(tmp_path / "file.yaml", NOBODY, NOBODY)
    with pytest.raises(NotPrivate, match="belongs to another user"):
        read_file(tmp_path / "file.yaml")


def test_a_lock_has_one_holder_who_is_told_of(folder):
    assert told(folder, "lock") == [] and not is_held(folder, "lock")
    with locked(folder, "lock", lambda lines: RuntimeError(*lines)) as tell:
        tell(["a long first line", "second"])
        tell(["4711"])
        assert told(folder, "lock") == ["4711"] and is_held(folder, "lock")
        with pytest.raises(RuntimeError, match="4711"), locked(folder, "lock", lambda lines: RuntimeError(*lines)):
            pass
    assert told(folder, "lock") == ["4711"] and not is_held(folder, "lock")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    with runtime_folder("private-test") as probe:
        return probe.path.parent


def test_a_runtime_folder_is_fresh_private_and_short(temporary, any_umask):
    with runtime_folder("private-test") as one, runtime_folder("private-test") as two:
        assert one.path != two.path and mode(one.path) == 0o700
        assert len(bytes(one.path / "control.sock")) <= LONGEST
    assert not one.path.exists() and not two.path.exists()


def test_a_runtime_folder_that_a_killed_process_left_is_removed(temporary):
    left = temporary / "private-left-abcd1234"
    left.mkdir(mode=0o700)
    (left / "run").touch()
    script = (
        "from aegis_private.runtime import runtime_folder\n"
        "with runtime_folder('private-left') as one, runtime_folder('private-left'): print(one.path.exists())"
    )
    with runtime_folder("private-left") as held:  # the one that is in use stays, whoever looks
        assert not left.exists()
        assert subprocess.check_output([sys.executable, "-c", script], text=True) == "True\n"
        assert held.path.exists()


def test_what_is_left_is_looked_for_once_in_the_life_of_a_process(temporary):
    with runtime_folder("private-once"):
        left = temporary / "private-once-abcd1234"
        left.mkdir(mode=0o700)
    with runtime_folder("private-once"):
        assert left.exists()  # nothing of what others have is opened, however many they are
    left.rmdir()


def test_a_folder_of_that_name_that_is_a_link_is_left_alone(temporary, tmp_path):
    way = temporary / "private-test-abcd5678"
    way.symlink_to(tmp_path)
    (tmp_path / "precious").touch()
    try:
        with runtime_folder("private-test"):
            assert (tmp_path / "precious").exists()
    finally:
        way.unlink()


@pytest.mark.parametrize("given", ["wide", "long", "missing", "relative"])
def test_a_runtime_folder_of_the_system_is_used_if_it_is_of_use(given, tmp_path_factory, monkeypatch):
    base = Path("/tmp") / f"private-runtime-{os.getpid()}"
    base.mkdir(mode=0o700)
    try:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
        with runtime_folder("private-test") as folder:
            assert folder.path.parent == base
        unfit = {"wide": base, "long": base / ("x" * 60), "missing": base / "none", "relative": Path("run")}[given]
        (base / ("x" * 60)).mkdir()
        base.chmod(0o777 if given == "wide" else 0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(unfit))
        with runtime_folder("private-test") as folder:
            assert folder.path.parent not in (unfit, base)
    finally:
        (base / ("x" * 60)).rmdir()
        base.rmdir()


def test_who_is_at_the_other_end(temporary, any_umask):
    with runtime_folder("private-test") as folder:
        path = folder.path / "s"
        with listening(path) as server, socket.socket(socket.AF_UNIX) as client:
            assert mode(path) == 0o600
            client.connect(str(path))
            connection, _ = server.accept()
            with connection:
                for end in (connection, client):
                    assert peer(end) == (os.geteuid(), os.getpid()) and peer(end).is_me


@as_root
def test_a_stranger_at_the_other_end_is_known(temporary):
    with runtime_folder("private-test") as folder:
        folder.path.chmod(0o755)
        with listening(folder.path / "s") as server:
            (folder.path / "s").chmod(0o666)
            if not (child := os.fork()):
                os.setuid(NOBODY)
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(folder.path / "s"))
                    os._exit(0 if peer(client).is_trusted and not peer(client).is_me else 1)
            connection, _ = server.accept()
            with connection:
                assert peer(connection) == (NOBODY, child) and not peer(connection).is_trusted
            assert os.waitpid(child, 0)[1] == 0


def test_the_umask_is_closed_inside_and_the_persons_own_is_known(tmp_path):
    before = os.umask(0o027)
    try:
        assert users_umask() == -1 and users_mode(0o666) == 0o640
        with closed():
            with closed():
                assert users_umask() == 0o027 and users_mode(0o666) == 0o640
            (tmp_path / "ours").touch()
            assert mode(tmp_path / "ours") == 0o600
        (tmp_path / "theirs").touch()
        assert mode(tmp_path / "theirs") == 0o640
    finally:
        os.umask(before)


def test_a_state_folder_is_held_by_one_who_can_be_reached(tmp_path, any_umask):
    mine, same = State(tmp_path), State(tmp_path)
    with pytest.raises(FileNotFoundError):
        mine.runtime()
    mine.prepare()
    with mine.locked():
        assert mine == same and same.is_held() and mode(same.runtime()) == 0o700
        with pytest.raises(NotPrivate, match=f"already runs in .* \\(pid {os.getpid()}\\)"), same.locked():
            pass
        assert same.first_number(5) == 5 and same.first_number(0) == 5 + 10**9
        for made in mine.state.iterdir():
            assert mode(made) == 0o600, made
    assert not same.is_held() and mode(mine.state) == 0o700
    assert not same.runtime().exists()


def test_a_state_knows_whether_its_last_holder_was_killed(tmp_path):
    State(tmp_path).prepare()

    def killed() -> bool:
        with (state := State(tmp_path)).locked():
            return state.killed

    assert [killed(), killed()] == [False, False]
    script = "import os, sys; from pathlib import Path; from aegis_private.state import State\n"
    script += "with State(Path(sys.argv[1])).locked(): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert [killed(), killed()] == [True, False]


def test_a_state_folder_made_wide_by_others_is_closed(tmp_path):
    class Deep(State):
        inside = (".ours", "state")

    (tmp_path / ".ours" / "state").mkdir(parents=True)
    (tmp_path / ".ours").chmod(0o777)
    (tmp_path / ".ours" / "state").chmod(0o777)
    Deep(tmp_path).prepare()
    assert (mode(tmp_path / ".ours"), mode(tmp_path / ".ours" / "state")) == (0o755, 0o700)
