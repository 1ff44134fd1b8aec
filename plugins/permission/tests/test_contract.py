"""The one table of what each mode answers by itself, with the neighbours of every name in it."""

import os

import pytest

from aegis_permission.governing import DELICATE, delicate, governs, in_state
from aegis_permission.permission import decide, inside, ours

KINDS = ("read", "search", "think", "edit", "delete", "move", "execute", "fetch", "switch_mode", "other")
LOOKS = ("read", "search", "think")


def said(mode, kind, paths, folder):
    answer = decide(mode, "Tool", kind, paths, folder)
    return answer.outcome if answer else None


@pytest.fixture
def home(tmp_path):
    """A folder with links: to its own `.git/hooks` and state, and out of itself."""
    folder = tmp_path / "home"
    for name in (".git/hooks", ".aegis/state", "sub"):
        (folder / name).mkdir(parents=True)
    (folder / "link").symlink_to(folder / ".git" / "hooks")
    (folder / "state").symlink_to(folder / ".aegis" / "state")
    (folder / "out").symlink_to(tmp_path)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "inside_it", "outside_it", "nowhere"),
    [
        ("full", "all", "all", "all"),
        ("write", (*LOOKS, "edit"), (), LOOKS),
        ("auto", LOOKS, (), LOOKS),
        ("read", LOOKS, (), LOOKS),
    ],
)
def test_each_mode_for_each_kind(home, mode, kind, inside_it, outside_it, nowhere):
    """With a file in the folder, with one elsewhere, and with none; `read` denies what it does not allow."""
    for paths, allowed in ((["a.py"], inside_it), (["../a.py"], outside_it), ([], nowhere)):
        if allowed == "all" or kind in allowed:
            expected = "allowed"
        else:
            expected = "denied" if mode == "read" and kind not in LOOKS else None
        assert said(mode, kind, paths, home) == expected, paths


@pytest.mark.parametrize(
    "path",
    ["a.py", "sub/../a.py", "{home}/a.py", "docs/ci.yaml", ".gitignore", "build/a.c", ".aegis.yaml.md"],
)
def test_write_edits_plain_files_of_its_folder(home, path):
    assert said("write", "edit", [path.format(home=home)], home) == "allowed"


@pytest.mark.parametrize(
    "path",
    [
        "../a.py", "out/a.py", "/etc/passwd", "~/a.py", "~anna/a.py", "file:///etc/hosts", "a\0b",
        ".aegis.yaml", ".AEGIS.yaml", "sub/.aegis.yaml", "x/../.aegis/agents/me.yaml", ".aegis/x",
        ".git/hooks/pre-commit", "link/pre-commit", "sub/.git", ".Git/config", ".g\u200cit/config", "．git/config",
        ".gitmodules", ".claude/settings.json", ".claude.json", ".mcp.json", "sub/opencode.json", ".gemini/x",
        ".codex/x", ".bashrc", ".zshenv", ".envrc", ".vscode/tasks.json", ".husky/pre-push",
        ".config/fish/config.fish", ".ssh/rc", "CLAUDE.md", "sub/AGENTS.md", "GEMINI.md", "Makefile", "sub/GNUmakefile",
        "rules.mk", "package.json", ".github/workflows/ci.yaml", ".gitattributes", ".gitlab-ci.yml", "Dockerfile.dev",
        "pyproject.toml", "setup.py", "requirements-dev.txt", "CMakeLists.txt", ".env.local", "Jenkinsfile", ".npmrc",
    ],
)  # fmt: skip
def test_write_asks_before_every_other_edit(home, path):
    assert said("write", "edit", [path], home) is None
    assert said("write", "edit", ["a.py", path], home) is None, "one such file among others is enough"


@pytest.mark.parametrize("path", [".claude/settings.json", "{home}/.claude/x", "sub/../.bashrc", "far/settings.json"])
def test_a_delicate_name_that_is_a_link_to_a_plain_one_stays_delicate(home, path):
    """The files of a person who keeps such settings in one folder and links to them."""
    (home / "kept").mkdir()
    (home / ".claude").symlink_to("kept")
    (home / ".bashrc").symlink_to(home / "kept" / "bashrc")
    (home / "far").symlink_to(home / ".claude")
    assert said("write", "edit", [path.format(home=home)], home) is None
    assert said("write", "edit", ["kept/a.py"], home) == "allowed"


def test_a_folder_may_itself_lie_in_a_delicate_one(home):
    assert not delicate(home / ".git" / "hooks", ["a.txt"])
    assert delicate(home / "sub", [f"{home}/.git/config"])


def test_no_path_at_all_is_inside(home):
    assert inside(home, []) and not inside(home, ["a", "../b"])


CLAUDE, GEMINI, OPENCODE, OTHERS = ("mcp__aegis__",), ("mcp_aegis_",), ("aegis_",), ("mcp__aegis__", "aegis__")
NAMES = {"aegis_handoff", "aegis_canvas_read", "dice_roll"}


@pytest.mark.parametrize(
    ("prefixes", "tool"),
    [
        (CLAUDE, "mcp__aegis__aegis_handoff"),
        (GEMINI, "mcp_aegis_aegis_handoff"),
        (OPENCODE, "aegis_aegis_handoff"),
        (OPENCODE, "aegis_dice_roll"),
        (OTHERS, "mcp__aegis__dice_roll"),
        (OTHERS, "aegis__aegis_handoff"),
    ],
)
def test_ours_is_spelled_exactly(prefixes, tool):
    assert ours(tool, prefixes, NAMES)


@pytest.mark.parametrize(
    ("prefixes", "tool"),
    [
        (OPENCODE, "aegis_evil_server_run"),
        (OPENCODE, "aegis_handoff"),  # the tool `handoff` of another server
        (OPENCODE, "aegis_canvas_read"),  # the tool `read` of a server `aegis_canvas`
        (GEMINI, "mcp_aegis_evil_rm"),
        (GEMINI, "mcp_aegis_handoff"),
        (CLAUDE, "mcp__aegis__rm"),
        (CLAUDE, "mcp__aegis_evil__rm"),
        (CLAUDE, "mcp__aegis__evil__rm"),
        (CLAUDE, "mcp__aegistwo__aegis_handoff"),
        (CLAUDE, "mcp__aegis__aegis_handoff; rm -r x"),
        (CLAUDE, "mcp__aegis__"),
        (CLAUDE, "Bash"),
        (OTHERS, "mcp_aegis_aegis_handoff"),
        (OTHERS, "aegis_handoff"),
        (OTHERS, ""),
        ((), "aegis_handoff"),
    ],
)
def test_what_only_looks_like_ours_is_not(prefixes, tool):
    assert not ours(tool, prefixes, NAMES)


@pytest.mark.parametrize("name", ["CLAUDE.md", ".git/hooks/pre-commit", "sub/Makefile", ".aegis.yaml", ".mcp.json"])
def test_a_second_name_of_a_file_that_governs_is_that_file(home, name):
    """A hard link, or a disk that is blind to case: neither is seen in the name."""
    (home / name).write_text("x")
    os.link(home / name, home / "sub" / "notes.md")
    assert said("write", "edit", ["sub/notes.md"], home) is None
    os.link(home / "sub" / "notes.md", home / "plain.md")
    (home / "a.py").write_text("x")
    os.link(home / "a.py", home / "b.py")
    assert said("write", "edit", ["b.py"], home) == "allowed", "two names of a plain file are a plain file"


@pytest.mark.parametrize("mode", ["read", "write", "auto", "full"])
@pytest.mark.parametrize("kind", ["read", "search", "edit", "delete", "other"])
@pytest.mark.parametrize(
    "path",
    [".aegis/state/ledger.db", "{home}/.aegis/state", "state/plane.json", "sub/../.aegis//state/x", ".AEGIS/State/x"],
)
def test_the_state_is_for_no_agent_in_any_mode(home, mode, kind, path):
    assert said(mode, kind, [path.format(home=home)], home) == "denied"
    assert said(mode, kind, ["a.py", path.format(home=home)], home) == "denied"
    assert in_state(home / "sub", [f"{home}/.aegis/state/x"])
    assert said(mode, "read", [".aegis/agents/x.yaml"], home) == "allowed"
    assert not in_state(home, ["state.txt", ".aegis/statement", "sub/state/x"])


def test_the_list_is_in_small_letters_and_names_each_once():
    assert all(name == name.casefold() for name in DELICATE)
    assert governs("MAKEFILE") and governs("Dockerfile.prod") and not governs("dockerfiles")
