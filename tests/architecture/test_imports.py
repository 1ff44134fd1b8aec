"""Who may import whom, and what an entry module may not bring along."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from workspace import ROOT, libraries, members

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {c["id"]: c for c in LINTER["contracts"]}
PACKAGES = [m.package for m in members()]
HEAVY = {
    "acp", "fastmcp", "h11", "httpx", "hypothesis", "mcp", "prompt_toolkit", "pygments", "pytest", "rich",
    "starlette", "watchfiles",
}  # fmt: skip


def lint(*arguments, cwd=ROOT):
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_every_contract_holds():
    answer = lint()
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_linter_sees_a_broken_contract(tmp_path):
    """A kernel that may not import trio is a broken one: the linter that finds nothing is not asleep."""
    (tmp_path / "broken.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["aegis"]\ninclude_external_packages = true\n'
        '[[tool.importlinter.contracts]]\nname = "no trio"\ntype = "forbidden"\n'
        'source_modules = ["aegis"]\nforbidden_modules = ["trio"]\n'
    )
    answer = lint("--config", str(tmp_path / "broken.toml"))
    assert answer.returncode == 1
    assert "BROKEN" in answer.stdout


def test_every_member_is_in_the_linters_lists():
    others = [p for p in PACKAGES if p != "aegis"]
    assert sorted(LINTER["root_packages"]) == sorted(PACKAGES)
    beneath = {m.package for m in libraries() if m.distribution in members()[0].toml["project"]["dependencies"]}
    assert sorted(CONTRACTS["kernel-knows-no-member"]["forbidden_modules"]) == sorted(set(others) - beneath)
    assert sorted(CONTRACTS["members-meet-in-the-kernel"]["modules"]) == sorted(others)
    assert sorted(CONTRACTS["kit-is-for-tests"]["source_modules"]) == sorted(set(others) - {"aegis_scripted"})
    assert CONTRACTS["libraries-stand-alone"]["source_modules"] == [m.package for m in libraries()]


@pytest.mark.parametrize(
    ("contract", "room"),
    [
        ("plane-libraries", {"aegis_mcp"}),
        ("screen-libraries", {"aegis_repl"}),
        ("cron-library", {"aegis_schedule"}),
        ("yaml-library", {"aegis_yamlfile"}),
    ],
)
def test_a_library_is_banned_everywhere_but_in_its_room(contract, room):
    assert sorted(CONTRACTS[contract]["source_modules"]) == sorted(set(PACKAGES) - room)


def loaded_by(module: str) -> set[str]:
    code = f"import json, sys, {module}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def test_an_entry_module_imports_nothing_heavy(plugin):
    assert loaded_by(f"{plugin.package}.plugin") & HEAVY == set()


def test_the_kernel_imports_nothing_heavy():
    assert loaded_by("aegis.app") & HEAVY == set()


def imported_by(member) -> set[str]:
    trees = [ast.parse(path.read_text()) for path in member.modules()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - set(PACKAGES)


def test_what_a_member_imports_it_declares(member):
    project = member.toml["project"]
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    declared = {canonicalize_name(Requirement(line).name) for line in [*project["dependencies"], *extras]}
    provides = packages_distributions()
    missing = {
        name
        for name in imported_by(member)
        if not {canonicalize_name(d) for d in [name, *provides.get(name, [])]} & declared
    }
    assert missing == set(), "imported but not among its dependencies"
