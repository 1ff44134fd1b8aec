"""`make new-plugin` gives a member that works at once, and that the workspace takes in as it is."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib

import pytest
from workspace import ROOT, Member, libraries, members

pytestmark = pytest.mark.packaging
INSIDE = {  # the page on members says what is in each
    "driver": {"plugin", "profile", "wire", "translate", "driver"},
    "primitive": {"plugin", "settings", "verbs", "store"},
    "frontend": {"plugin", "service"},
    "plugin": {"plugin", "settings", "policy"},
}
KINDS = tuple(INSIDE)
DICTIONARY = ROOT / "tests" / "architecture" / "test_dictionary.py"


def scaffold(root, *arguments):
    command = [sys.executable, str(ROOT / ".make" / "scaffold.py"), *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "workspace"
    root.mkdir()
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass_at_once(repository, clean, done, kind):
    assert scaffold(repository, kind, "probe").returncode == 0
    (folder,) = repository.glob("*/probe")
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", repository / "dist", cwd=folder)
    environment = clean("aegis-microkernel")
    environment.install(*(repository / "dist").glob("*.whl"), "pytest", "hypothesis")
    said = environment.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-c", "pyproject.toml", cwd=folder
    )
    assert " passed" in said


def test_the_workspace_takes_it_in_as_it_is(repository, done):
    for kind in KINDS:
        assert scaffold(repository, kind, f"probe{kind}").returncode == 0
    ruff = [sys.executable, "-m", "ruff"]
    done(*ruff, "check", "--no-cache", ".", cwd=repository)
    done(*ruff, "format", "--no-cache", "--check", ".", cwd=repository)
    sources = [str(folder) for folder in repository.glob("*/*/src")]
    done(sys.executable, "-m", "mypy", "--cache-dir", repository / "cache", *sources, cwd=repository)


@pytest.fixture
def dictionary(repository):
    """The rules on names and places, for members of this repository."""
    spec = importlib.util.spec_from_file_location("dictionary", DICTIONARY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = repository
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_inside_of_every_member(repository, dictionary, kind):
    assert scaffold(repository, kind, "probe").returncode == 0
    (folder,) = repository.glob("*/probe")
    member = Member(folder, folder.parent.name)
    assert {path.stem for path in member.modules()} == {"__init__", *INSIDE[kind]}
    assert dictionary.without_its_inside(member) == set()
    tests = {name for path in folder.glob("tests/*.py") for name in dictionary.names(path)}
    assert dictionary.speaks_otherwise(member) == set()
    assert {name for name in tests if dictionary.words(name) & dictionary.BANNED} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_no_value_of_its_settings(repository, kind):
    """Settings are a live mapping: what the entry module hands on is the mapping, never a section of it."""
    assert scaffold(repository, kind, "probe").returncode == 0
    for entry in repository.glob("*/probe/src/*/plugin.py"):
        taken = [node for node in ast.walk(ast.parse(entry.read_text())) if isinstance(node, ast.Subscript)]
        assert [ast.unparse(node) for node in taken if ast.unparse(node.value) == "settings"] == []


def test_it_is_in_every_list(repository):
    scaffold(repository, "primitive", "probe")
    before = tomllib.loads((ROOT / "pyproject.toml").read_text())
    after = tomllib.loads((repository / "pyproject.toml").read_text())
    assert after["tool"]["uv"]["sources"] == {**before["tool"]["uv"]["sources"], "aegis-probe": {"workspace": True}}
    old, new = before["tool"]["importlinter"], after["tool"]["importlinter"]
    assert new["root_packages"] == sorted([*old["root_packages"], "aegis_probe"])
    for was, now in zip(old["contracts"], new["contracts"], strict=True):
        for key in ("source_modules", "forbidden_modules", "modules"):
            names = was.get(key, [])
            many = len([name for name in names if name.startswith("aegis_")]) > len(libraries())
            assert now.get(key, []) == (sorted([*names, "aegis_probe"]) if many else names), (was["id"], key)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["primitive", "Two-Words"], "'Two-Words' is not one lower-case word"),
        (["primitive", "inbox"], "there is a member of that name: primitives/inbox"),
        (["gadget", "probe"], "invalid choice: 'gadget'"),
        (["primitive"], "the following arguments are required: name"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(repository, arguments, sentence):
    inbox = next(m for m in members() if m.folder.name == "inbox")
    (repository / inbox.path).mkdir(parents=True)
    shutil.copy(inbox.folder / "pyproject.toml", repository / inbox.path)
    answer = scaffold(repository, *arguments)
    assert answer.returncode == 2
    assert sentence in answer.stderr
