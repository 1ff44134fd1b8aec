"""A visitor who has seen one member has seen all."""

import ast
import subprocess
import tomllib

import pytest
from workspace import ROOMS, ROOT, folders, libraries, members

WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOP = {
    "AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "changelog.d",
    "constraints.txt", "docs", "pyproject.toml", "tests", *ROOMS,
}  # fmt: skip


def tracked() -> list[str]:
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode:
        pytest.skip("this is no git checkout, so what is tracked cannot be told")
    return git.stdout.splitlines()


def test_the_top_level_is_the_prescribed_one():
    top = {path.split("/")[0] for path in tracked()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_no_lock_file_is_tracked():
    assert not [path for path in tracked() if path.endswith(("uv.lock", "package-lock.json"))]


def test_every_folder_in_a_room_is_a_member():
    assert [f.relative_to(ROOT).as_posix() for _, f in folders() if not (f / "pyproject.toml").exists()] == []


def test_every_member_is_resolved_from_the_workspace():
    sources = WORKSPACE["tool"]["uv"]["sources"]
    assert sources == {m.distribution: {"workspace": True} for m in members()}


def test_the_default_set_is_made_of_members():
    names = {m.distribution for m in members()}
    assert set(WORKSPACE["project"]["dependencies"]) <= names


def test_layout(plugin):
    wanted = ["README.md", "pyproject.toml", f"src/{plugin.package}/plugin.py", "tests/test_contract.py"]
    assert [name for name in wanted if not (plugin.folder / name).is_file()] == []


def test_the_package_module_is_a_docstring(plugin):
    body = ast.parse((plugin.source / "__init__.py").read_text()).body
    assert len(body) == 1
    assert ast.get_docstring(ast.Module(body, []))


def test_project_metadata(member):
    project = member.toml["project"]
    assert "Private :: Do Not Upload" in project["classifiers"]
    assert project["license"] == "MIT"
    assert project["requires-python"] == ">=3.11"
    assert project["version"] == WORKSPACE["project"]["version"], "one version number for all members"
    assert project["description"].endswith("."), "the description is a sentence: it stands in the package table"
    assert member.toml["build-system"]["build-backend"] == "hatchling.build"
    assert member.toml["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{member.package}"]


def test_plugin_metadata(plugin):
    project = plugin.toml["project"]
    name = plugin.folder.name
    assert project["name"] == f"aegis-{name}"
    assert project["entry-points"]["aegis.plugins"] == {name: f"aegis_{name}.plugin"}
    shared = {library.distribution for library in libraries()}
    ours = [d for d in project["dependencies"] if d.startswith("aegis-") and d not in shared]
    shim = ["aegis-acp"] if name in ("gemini", "opencode") else []
    assert ours == ["aegis-microkernel", *shim], "members depend on nothing of ours but the kernel and libraries"


def test_a_library_depends_on_nothing_of_ours_but_libraries():
    needs = {d for library in libraries() for d in library.toml["project"]["dependencies"]}
    assert [d for d in needs - {library.distribution for library in libraries()} if d.startswith("aegis")] == []


def test_a_library_is_shared():
    for library in libraries():
        users = [m.path for m in members() if library.distribution in m.toml["project"]["dependencies"]]
        beneath = users == ["kernel"]  # which stays small by standing on it
        assert len(users) > 1 or beneath, f"{library.path} is used by {users}: what one member uses belongs to it"


def test_the_readme_names_its_distribution(member):
    assert (member.folder / "README.md").read_text().startswith(f"# {member.distribution}")
