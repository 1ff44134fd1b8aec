"""What of a folder counts, what is remembered of it, and whose its state is."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_trust import shown
from aegis_trust.contents import names_in
from aegis_trust.records import MARK, Records, default_place
from aegis_trust.settings_file import TrustedFile
from aegis_trust.state import believe, claim, confirm, known
from aegis_trust.trust import FOLDERS, Trust, TrustError

MAIN = ".conf.yaml"


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A person of these tests, who trusts nothing yet."""
    monkeypatch.delenv(FOLDERS)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "project"
    (folder / "flows").mkdir(parents=True)
    (folder / MAIN).write_text("a: {command: [./run.sh, '--with=flows/x.py']}\nflows: {files: ['flows/*.py']}\n")
    (folder / "run.sh").write_text("echo hi\n")
    (folder / "flows" / "x.py").write_text("x\n")
    return folder


def trust(root: Path) -> Trust:
    return Trust(root, MAIN)


def trusted(root: Path) -> Trust:
    """Return a trust in what is there now."""
    one = trust(root)
    one.accept(one.look(), "anna")
    assert one.reason() == ""
    return one


def test_what_nobody_was_asked_about_is_not_trusted(root):
    one = trust(root)
    assert "is not trusted, and nothing of it is run" in one.reason()
    for ask in (one.require, one.settings, TrustedFile(one, ValueError).load):
        with pytest.raises(TrustError, match="nothing of it is run"):
            ask()
    with pytest.raises(TrustError):
        one.require({"command": ["./run.sh"]})
    with pytest.raises(TrustError):
        one.read(root / "run.sh")


def test_a_folder_without_settings_needs_no_trust(tmp_path):
    assert trust(tmp_path).reason() == ""
    trust(tmp_path).require({"command": ["run.sh"]})


def test_trust_is_for_this_content_and_outlives_the_process(root):
    trusted(root)
    one = trust(root)
    one.require()
    assert one.read(root / "run.sh") == b"echo hi\n"
    assert TrustedFile(one, ValueError).load()[1]["a"]["command"][0] == "./run.sh"


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)


CHANGES = {
    ".conf.yaml has changed": lambda root: write(root / MAIN, "a: 1\n"),
    ".conf.yaml is gone": lambda root: (root / MAIN).unlink(),
    ".aegis/agents/x.yaml is new": lambda root: write(root / ".aegis" / "agents" / "x.yaml", "a: 1\n"),
    "run.sh has changed": lambda root: write(root / "run.sh", "echo ho\n"),
    "run.sh is gone": lambda root: (root / "run.sh").unlink(),
    "flows/x.py has changed": lambda root: write(root / "flows" / "x.py", "y\n"),
    "flows/y.py is new": lambda root: write(root / "flows" / "y.py", "y\n"),
}


@pytest.mark.parametrize("said", CHANGES)
def test_every_change_is_noticed(root, said):
    one = trusted(root)
    CHANGES[said](root)
    for asked in (one, trust(root)):
        assert said in asked.reason()
        with pytest.raises(TrustError):
            asked.settings()
    assert trust(root).differences(one.look().settings) == [said]


def test_a_change_that_keeps_size_and_time_is_noticed(root):
    file = root / "run.sh"
    past = (file.stat().st_atime_ns, file.stat().st_mtime_ns - 10**12)
    os.utime(file, ns=past)
    one, seen = trusted(root), file.stat()
    stats = [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
    Records().renew(str(root), stats={"run.sh": stats})  # as when it had been at rest for a while
    assert one.reason() == ""
    file.write_text("echo no\n")
    os.utime(file, ns=past)
    assert "run.sh has changed" in one.reason() and "run.sh has changed" in trust(root).reason()


def test_overlays_count_and_a_lost_one_is_noticed(root):
    overlay = root / ".aegis" / "agents" / "x.yaml"
    write(overlay, "command: [./late.sh]\n")
    one = trusted(root)
    write(root / "late.sh", "new\n")
    assert "late.sh is new" in one.reason()
    (root / "late.sh").unlink()
    overlay.unlink()
    assert ".aegis/agents/x.yaml is gone" in one.reason()


def test_a_link_counts_by_where_it_leads(root, tmp_path):
    outside, other = tmp_path / "outside", tmp_path / "other"
    outside.write_text("1"), other.write_text("1")
    (root / "run.sh").unlink()
    (root / "run.sh").symlink_to(outside)
    one = trusted(root)
    outside.write_text("2")  # it is not the folder's: an update of the system is no change of the project
    assert one.reason() == ""
    (root / "run.sh").unlink()
    (root / "run.sh").symlink_to(other)
    assert "run.sh has changed" in one.reason()


def test_only_what_a_value_names_is_asked_for(root):
    one = trusted(root)
    write(root / "flows" / "x.py", "y\n")
    one.require({"command": ["./run.sh"]})
    with pytest.raises(TrustError, match=r"flows/x\.py has changed"):
        one.require({"args": ["--with=flows/x.py"]})
    with pytest.raises(TrustError, match=r"flows/x\.py has changed"):
        one.read(root / "flows" / "x.py")


def test_what_is_read_is_the_content_that_was_trusted(root):
    one = trusted(root)
    write(root / "flows" / "new.py", "evil\n")
    with pytest.raises(TrustError, match=r"flows/new\.py is new"):
        one.read(root / "flows" / "new.py")
    assert one.read(root / "flows" / "x.py") == b"x\n"


NAMES = {
    "./run.sh": {"command": ["./run.sh"]},
    "conf/x.json": {"args": ["--conf=conf/x.json"]},
    "scripts/check.py": {"hooks": {"after": "python scripts/check.py --all"}},
    "a.py": {"entry": "a.py:main"},
    "q.md": {"include": "@q.md"},
    "sub dir/x": {"script": "sub dir/x"},
    "b.sh": {"script": "set -e\n. ./a.sh; (b.sh) | cat"},
    "prompts/a.md": {"prompt": "prompts/a.md"},
}


@pytest.mark.parametrize("name", NAMES)
def test_what_settings_name(name):
    assert name in names_in({"x": NAMES[name]}).words


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "Read docs/plan.md first"},
        {"rules": [{"match": "./src/a.py"}]},
        {"x": "~/other.sh"},
        {"x": "--flag"},
        {"x": "."},
        {"x": 7},
        {"x": None},
    ],
)
def test_what_they_do_not_name(value):
    assert not {"docs/plan.md", "./src/a.py", "."} & set(names_in(value).words)


def test_a_pattern_of_a_permission_names_no_files():
    assert names_in({"rules": [{"match": "**/*"}], "flows": {"files": ["*.py"]}}).patterns == ["*.py"]


def test_names_are_relative_to_a_working_folder_too(root):
    write(root / MAIN, "a: {cwd: sub, command: [./go]}\n")
    write(root / "sub" / "go", "1")
    assert "sub/go" in trust(root).look().files


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "/proc/self/environ"])
def test_what_is_not_of_the_folder_is_not_looked_at(root, name, tmp_path):
    (tmp_path / "outside").write_text("x")
    write(root / MAIN, json.dumps({"a": {"command": [name]}}))
    assert trust(root).look().files == {}


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "a: \x00\n"])
def test_what_cannot_be_read_cannot_be_trusted(root, text):
    write(root / MAIN, text)
    with pytest.raises(TrustError):
        trust(root).look()
    assert "is not trusted" in trust(root).reason(), "it is said without parsing it"


def test_settings_that_nobody_reads_are_refused_before_they_are_parsed(root):
    write(root / MAIN, "a: " + "x" * 5_000_000)
    assert "longer than" in trust(root).reason()
    os.mkfifo(root / "pipe")
    (root / MAIN).unlink()
    (root / MAIN).symlink_to(root / "pipe")
    assert "is not a file" in trust(root).reason()


# -- what is remembered ---------------------------------------------------------------------------------------------


def test_a_record_is_the_persons_alone(root):
    trusted(root)
    [file] = default_place().glob("*.json")
    assert (file.stat().st_mode & 0o777, default_place().stat().st_mode & 0o777) == (0o600, 0o700)
    assert root not in default_place().parents


def test_a_record_of_another_user_is_not_believed(root):
    if os.geteuid():
        pytest.skip("only root can give a file away")
    trusted(root)
    [file] = default_place().glob("*.json")
    os.chown(file, 65534, 65534)
    assert "is not trusted" in trust(root).reason()


@pytest.mark.parametrize("torn", ["", "{", "[]", "{}", '{"v": 2}', "null"])
def test_a_record_that_cannot_be_read_trusts_nothing(root, torn):
    trusted(root)
    [file] = default_place().glob("*.json")
    file.write_text(torn)
    assert "is not trusted" in trust(root).reason()


def test_a_relative_xdg_folder_is_no_place(monkeypatch, tmp_path):
    """Else a project could bring a record of its own trust along."""
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_place() == tmp_path / ".local" / "state" / "aegis" / "trust"


def test_trust_in_one_folder_is_none_in_another_with_the_same_content(root, tmp_path):
    trusted(root)
    shutil.copytree(root, tmp_path / "copy")
    assert "is not trusted" in trust(tmp_path / "copy").reason()


def test_it_can_be_taken_back(root):
    one = trusted(root)
    assert one.revoke() and not one.revoke()
    with pytest.raises(TrustError):
        one.require({"command": ["./run.sh"]})


def test_older_content_is_not_trusted_again(root):
    old = (root / MAIN).read_text()
    trusted(root)
    write(root / MAIN, "a: {}\n")
    trusted(root)
    write(root / MAIN, old)
    assert ".conf.yaml has changed" in trust(root).reason()


def test_folders_of_a_test_suite_are_trusted_whatever_they_say(root, monkeypatch):
    for value, said in (("", False), ("relative", False), (str(root / "sub"), False), (str(root.parent), True)):
        monkeypatch.setenv(FOLDERS, os.pathsep.join(["/nowhere", value]))
        assert trust(root).vouched is said


# -- edits ----------------------------------------------------------------------------------------------------------


def edited(root, one, who):
    file, why = TrustedFile(one, ValueError), []
    file.load()
    file.edit(lambda document: document.update(b=1), lambda *_: None, lambda _: why.append(file.accepted(who)))
    return why[0]


def test_a_persons_edit_is_trusted(root):
    one = trusted(root)
    assert edited(root, one, "human:anna") == ""
    assert trust(root).reason() == "" and trust(root).settings()[MAIN].endswith(b"b: 1\n")


@pytest.mark.parametrize("who", ["", "agent:lucid-knuth"])
def test_an_agents_edit_waits(root, who):
    one = trusted(root)
    assert ".conf.yaml has changed" in edited(root, one, who)
    assert ".conf.yaml has changed" in trust(root).reason()


def test_a_persons_edit_blesses_no_change_that_was_there(root):
    one = trusted(root)
    write(root / MAIN, "evil: 1\n")
    with pytest.raises(TrustError, match="has changed"):
        edited(root, one, "human:anna")
    assert (root / MAIN).read_text() == "evil: 1\n"


def test_whoever_makes_the_first_settings_is_not_asked(tmp_path):
    root = tmp_path / "new"
    root.mkdir()
    assert edited(root, trust(root), "human:anna") == ""
    assert (trust(root).reason(), bool(trust(root).record.when)) == ("", True)


# -- what is shown --------------------------------------------------------------------------------------------------


def test_all_of_it_is_shown(root):
    write(root / MAIN, "top: 1\na: {x: {command: [./run.sh, 'two words', 'x; rm *']}}\nl: [1, {k: null}]\n")
    contents = trust(root).look()
    assert [tuple(e) for e in shown.settings(contents)] == [
        ("top", "1"), ("a.x", 'command: ["./run.sh", two words, "x; rm *"]'), ("l", "[1, {k: null}]")
    ]  # fmt: skip
    assert [e.name for e in shown.files(trust(root), contents)] == ["run.sh"]


def test_a_file_that_nobody_could_look_at_is_refused(root):
    os.truncate(root / "run.sh", 10**9 + 1)
    with pytest.raises(TrustError, match=r"run\.sh is larger than 1000 MB"):
        trust(root).look()


def test_no_text_is_shown_that_a_yes_would_not_be_for(root):
    """Else one could show a harmless file between two looks at another."""
    contents = trust(root).look()
    write(root / "run.sh", "harmless\n")
    assert "harmless" not in shown.diff(trust(root), contents)


HOOK = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "sh tools/hook.sh"}]}]}}


@pytest.mark.parametrize("name", [".claude/settings.json", ".mcp.json", ".gemini/settings.json", "opencode.json"])
def test_what_clis_run_by_themselves_needs_a_yes_too(tmp_path, name):
    """They ask nobody when aegis starts them: a hook of a cloned folder would run with the first word to an agent."""
    root = tmp_path / "clone"
    write(root / name, json.dumps(HOOK))
    write(root / "tools" / "hook.sh", "true\n")
    assert "is not trusted" in trust(root).reason()
    with pytest.raises(TrustError):
        trust(root).settings()
    contents = trust(root).look()
    assert contents.files.keys() == {name, "tools/hook.sh"} and "sh tools/hook.sh" in shown.settings(contents)[0].says
    one = trusted(root)
    one.require({"command": ["claude"]}, beside=True)
    write(root / "tools" / "hook.sh", "false\n")
    assert "tools/hook.sh has changed" in one.reason()
    trusted(root)
    write(root / name, json.dumps({**HOOK, "env": {"X": "1"}}))
    with pytest.raises(TrustError, match="has changed since it was trusted"):
        one.require({"command": ["claude"]}, beside=True)
    one.require({"command": ["./run.sh"]})


NESTED = '{"junk": ' + '{"a": ' * 500 + "1" + "}" * 500 + ', "mcpServers": {"x": {"command": "./flows/x.py"}}}'
STRANGE = {
    "deep": NESTED, "deeper than a reader goes": NESTED.replace("1", "[" * 100_000),
    "with comments": '{// x\n"a": "flows/x.py"}',
    "a list": '["flows/x.py"]', "no text": '{"a": "flows/x.py \udcff"}',
}  # fmt: skip


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_settings_of_a_cli_that_cannot_be_read_count_by_their_words(root, text):
    (root / MAIN).unlink()
    (root / ".mcp.json").write_bytes(text.encode(errors="surrogateescape"))
    one = trusted(root)
    assert any("flows/x.py" in str(entry) or "…" in str(entry) for entry in shown.settings(one.look()))
    assert ".mcp.json" in one.look().files
    one.require({"command": ["claude"]}, beside=True)
    (root / "flows" / "x.py").write_text("y\n")
    with pytest.raises(TrustError, match=r"flows/x\.py has changed"):
        one.settings()


@pytest.mark.parametrize("name", [".opencode/plugin/x.ts", ".gemini/extensions/e/gemini-extension.json", ".mcp.json"])
def test_what_appears_for_a_cli_to_run_waits(root, name):
    one = trusted(root)
    write(root / name, "not json")
    assert f"{name} is new" in one.reason()


def test_what_a_person_allows_in_a_cli_of_theirs_is_not_asked_about(root):
    write(root / ".claude" / "settings.local.json", "{}")
    one = trust(root)
    assert ".claude/settings.local.json" in one.look().files
    trusted(root)
    write(root / ".claude" / "settings.local.json", '{"permissions": {"allow": ["Bash(ls)"]}}')
    assert trust(root).reason() == ""
    (root / ".claude" / "settings.local.json").unlink()
    assert (trust(root).reason(), shown.diff(trust(root), one.look())) == ("", "")


@pytest.mark.parametrize("word", ["x" * 999, "a/" * 400 + "b", "b\\0c", "\u202e", "[", "**/[", "//", "a\nb"])
def test_a_word_that_is_no_path_does_no_harm(root, word):
    write(root / MAIN, json.dumps({"a": {"files": [word], "prompt": word}}))
    trusted(root)


def test_a_text_is_cut_unless_all_is_wanted(root):
    write(root / MAIN, json.dumps({"a": {"prompt": "x" * 400, "n": {}}}))
    contents = trust(root).look()
    assert "… 100 more characters" in shown.settings(contents)[0].says
    assert "more characters" not in shown.settings(contents, whole=True)[0].says


def test_the_difference_is_shown(root):
    one = trusted(root)
    write(root / "run.sh", "echo ho\n")
    (root / "flows" / "x.py").unlink()
    said = shown.diff(one, one.look())
    assert "-echo hi\n+echo ho" in said and "--- flows/x.py\n+++ /dev/null" in said and MAIN not in said
    (root / "run.sh").write_bytes(b"\0")
    assert "--- run.sh\n+++ run.sh\n(no text to compare)" in shown.diff(one, one.look())


# -- state ----------------------------------------------------------------------------------------------------------


def state_of(root):
    return root / ".aegis" / "state"


def asides(root):
    return sorted((root / ".aegis").glob("state.set-aside-*"))


def test_a_state_is_made_with_its_mark_and_known_again(root):
    claim(trust(root), state_of(root))
    (state_of(root) / "x").write_text("mine")
    one = trust(root)
    claim(one, state_of(root))
    assert (one.said, known(one, state_of(root))) == ([], "own")
    assert (state_of(root) / "x").read_text() == "mine"
    assert state_of(root).stat().st_mode & 0o777 == 0o700
    assert [f.name for f in (root / ".aegis").iterdir()] == ["state"]


@pytest.mark.parametrize("mark", [None, "", "0" * 32, "x" * 5_000])
def test_a_state_that_came_with_the_folder_is_set_aside_with_a_word(root, mark):
    state_of(root).mkdir(parents=True)
    (state_of(root) / "ledger.db").write_text("theirs")
    if mark is not None:
        (state_of(root) / MARK).write_text(mark)
    one = trust(root)
    assert known(one, state_of(root)) == "foreign"
    claim(one, state_of(root))
    [aside] = asides(root)
    assert (aside / "ledger.db").read_text() == "theirs", "nothing is deleted"
    assert aside.name in one.said[0] and "nothing in it is believed" in one.said[0]
    assert [f.name for f in state_of(root).iterdir()] == [MARK]


def test_a_copied_state_is_set_aside_and_the_first_one_goes_on(root, tmp_path):
    trusted(root)
    claim(trust(root), state_of(root))
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    claim(trust(copy), state_of(copy))
    claim(trust(root), state_of(root))
    assert (len(asides(copy)), len(asides(root))) == (1, 0)


def test_a_folder_that_was_moved_keeps_its_state_and_its_trust(root, tmp_path):
    trusted(root)
    claim(trust(root), state_of(root))
    moved = tmp_path / "moved"
    root.rename(moved)
    one = trust(moved)
    claim(one, state_of(moved))
    assert (one.reason(), asides(moved), one.said) == ("", [], [])
    assert [record.folder for record in Records().all()] == [str(moved)]


def test_a_moved_folder_that_was_changed_is_asked_about(root, tmp_path):
    trusted(root)
    claim(trust(root), state_of(root))
    moved = tmp_path / "moved"
    root.rename(moved)
    write(moved / MAIN, "a: 2\n")
    assert ".conf.yaml has changed" in trust(moved).reason()


def test_a_state_for_another_person_is_set_aside(root, monkeypatch, tmp_path):
    trusted(root)
    claim(trust(root), state_of(root))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg of another"))
    claim(trust(root), state_of(root))
    assert len(asides(root)) == 1


@pytest.mark.parametrize("link", [".aegis", ".aegis/state"])
def test_a_link_is_left_to_those_who_refuse_it(root, tmp_path, link):
    precious = tmp_path / "precious"
    (precious / "state").mkdir(parents=True)
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(precious)
    claim(trust(root), state_of(root))
    assert [f.name for f in precious.iterdir()] == ["state"] and not list((precious / "state").iterdir())
    assert (root / link).is_symlink()


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_state_in_use_is_left_where_it_is(root):
    state_of(root).mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, str(state_of(root) / "kernel.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        claim(trust(root), state_of(root))
        assert asides(root) == []
        holder.stdin.close()
    claim(trust(root), state_of(root))
    assert len(asides(root)) == 1


def test_a_person_can_take_a_state_back(root):
    state_of(root).mkdir(parents=True)
    (state_of(root) / "x").write_text("old")
    believe(trust(root), state_of(root))
    claim(trust(root), state_of(root))
    assert (state_of(root) / "x").read_text() == "old" and asides(root) == []
    with pytest.raises(FileNotFoundError):
        believe(trust(root), root / "nowhere")


def test_without_a_place_for_records_no_state_is_made(root, monkeypatch, tmp_path):
    """Else the next start would take it for somebody else's."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(TrustError, match=r"which state is yours cannot be written down: .*XDG_STATE_HOME can name"):
        claim(trust(root), state_of(root))
    assert not state_of(root).exists()


def test_two_that_begin_at_once_make_one_state(root):
    code = f"""
from pathlib import Path
from aegis_trust.state import claim
from aegis_trust.trust import Trust
import sys
sys.stdin.readline()
one = Trust(Path({str(root)!r}), {MAIN!r})
claim(one, Path({str(state_of(root))!r}))
print(one.said)
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in both] == ["[]\n"] * 4
    assert asides(root) == [] and known(trust(root), state_of(root)) == "own"


HIDDEN = {  # a file of the folder, and words with which it is run
    "sub/agent.py": ["python", "d/../agent.py"],
    ".aegis/stateful/run.sh": [".aegis/stateful/run.sh"],
    ".aegis/state.set-aside-1/run.sh": [".aegis/state.set-aside-1/run.sh"],
    ".aegis/state/run.sh": [".aegis/state/run.sh"],
    "..agent.sh": ["./..agent.sh"],
    "..d/run.sh": ["..d/run.sh"],
    "-run.sh": ["sh", "--", "-run.sh"],
    "~run.sh": ["./~run.sh"],
    "ag\u200bent.py": ["python", "ag\u200bent.py"],
    "agent\n.py": ["python", "agent\n.py"],
    "agent.py": ["python", "./" * 600 + "agent.py"],
    "my flow.py": "python 'my flow.py'",
    "flow 2.py": "python flow\\ 2.py",
    "conf.json": ["x", "-cconf.json"],
    "a.sh": "sh -c '$PWD/a.sh'",
    "b.sh": '"${CLAUDE_PROJECT_DIR}"/b.sh',
    "c.sh": "`pwd`/c.sh",
    "d.sh": ["/proc/self/cwd/d.sh"],
    "sub/e.sh": ["sh", "-c", "cd sub; ./e.sh"],
}


@pytest.mark.parametrize("name", HIDDEN, ids=ascii)
def test_what_is_run_counts_however_it_is_written(root, name):
    (root / "sub" / "x").mkdir(parents=True)
    (root / "d").symlink_to("sub/x")
    write(root / name, "harmless")
    write(root / MAIN, json.dumps({"a": {"command": HIDDEN[name]}}))
    one = trusted(root)
    assert name in one.look().files
    write(root / name, "something else")
    assert "has changed" in trust(root).reason()


def test_a_file_behind_a_link_and_back_counts_by_where_it_is(root, tmp_path):
    (tmp_path / "out" / "x").mkdir(parents=True)
    write(tmp_path / "out" / "agent.py", "1")
    (root / "d").symlink_to(tmp_path / "out" / "x")
    write(root / MAIN, json.dumps({"a": {"command": ["python", "d/../agent.py"]}}))
    assert trust(root).look().files["d/../agent.py"] == f"-> {(tmp_path / 'out' / 'agent.py').resolve()}"


@pytest.mark.parametrize("name", ["PYTHONPATH", "PATH", "NODE_PATH"])
def test_what_is_found_by_name_in_a_folder_of_the_project_counts(root, name):
    write(root / MAIN, json.dumps({"a": {"command": ["claude"], "env": {name: "/usr/bin:lib"}}}))
    write(root / "lib" / "claude", "1")
    one = trusted(root)
    assert "lib/claude" in one.look().files
    write(root / "lib" / "json.py", "2")
    assert "lib/json.py is new" in trust(root).reason()


def test_the_files_of_the_state_do_not_count_by_a_pattern(root):
    write(root / MAIN, "a: {files: ['.aegis/**/*']}\n")
    write(root / ".aegis" / "state" / "ledger.db", "1")
    trusted(root)
    write(root / ".aegis" / "state" / "ledger.db", "2")
    assert trust(root).reason() == ""


LATER = json.dumps({"hooks": {"SessionStart": []}, "permissions": {"allow": ["Bash(ls)"]}})


def test_hooks_in_a_persons_own_file_of_a_cli_wait_when_they_come_later(root):
    """A commit can bring the file along; what a person allows in Claude Code is no reason to ask."""
    file = root / ".claude" / "settings.local.json"
    trusted(root)
    write(file, '{"permissions": {"allow": ["Bash(ls)"]}}')
    assert trust(root).reason() == ""
    write(file, LATER)
    assert f"{file.relative_to(root)} is new" in trust(root).reason()
    with pytest.raises(TrustError, match=r"settings\.local\.json"):
        trust(root).require({}, beside=True)
    trusted(root)
    write(file, LATER.replace("ls", "cat"))
    assert trust(root).reason() == ""
    write(file, LATER.replace("SessionStart", "Stop"))
    assert f"{file.relative_to(root)} has changed" in trust(root).reason()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "7", "\x00"], ids=["lists", "maps", "7", "zero"])
def test_a_file_of_a_cli_that_no_parser_reads_counts_as_it_is(root, text):
    for name in (".mcp.json", ".claude/settings.local.json"):
        write(root / name, text)
        assert name in trusted(root).look().files


def test_trust_is_never_kept_in_the_folder_itself(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    for home in ("", ".", "home"):
        monkeypatch.setenv("HOME", home)
        assert default_place().is_absolute() and not default_place().is_relative_to(Path.cwd())
    monkeypatch.delenv("HOME")
    assert default_place().is_absolute()


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_folders_of_what_is_trusted_are_closed_whatever_the_umask(root, tmp_path, umask):
    before = os.umask(umask)
    try:
        trusted(root)
    finally:
        os.umask(before)
    for folder in (tmp_path / "xdg", tmp_path / "xdg" / "aegis", tmp_path / "xdg" / "aegis" / "trust"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_a_record_that_others_may_write_is_not_believed(root):
    one = trusted(root)
    file = next(one.records.place.glob("*.json"))
    file.chmod(0o666)
    assert "is not trusted" in trust(root).reason()


def test_a_foreign_state_that_was_held_at_first_is_not_taken_over(root):
    state = root / ".aegis" / "state"
    write(state / "kernel.lock", "")
    one = trusted(root)
    with (state / "kernel.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        claim(one, state)
        assert known(one, state) == "foreign" and one.said == []
    with pytest.raises(TrustError, match="was not made here by you; start once more"):
        confirm(one, state)
    claim(one, state)
    confirm(one, state)


def test_a_umask_that_takes_all_away_locks_nobody_out(root):
    before = os.umask(0o777)
    try:
        claim(trust(root), root / ".aegis" / "state")
    finally:
        os.umask(before)
    for each in (root / ".aegis", root / ".aegis" / "state", root / ".aegis" / "state" / MARK):
        assert each.stat().st_mode & 0o600 == 0o600
