"""Plugins are found before import, called one by one, and what is broken is named while the rest runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from fakedriver import FakeDriver, Plugin

from aegis import hookimpl
from aegis.callers import Caller
from aegis.events import Fault
from aegis.plugins import GROUP, discovered
from aegis.testing.plugin import Opened
from aegis.verb_definition import verb
from aegis_trust.trust import FOLDERS

Install = Callable[[str, str], None]
GOOD = '''
from aegis import hookimpl, verb
class Thing:
    name = "thing"
    @verb("{name} do")
    async def do(self, caller) -> str:
        """Do it."""
        return "done"
@hookimpl
def aegis_primitives(kernel):
    return [Thing()]
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def install(site: Path, name: str, body: str, *, dist: str = "", module: str = "") -> None:
    """Put a distribution with one entry point into a folder, as an installer would."""
    dist, module = dist or f"acme-{name}", module or f"acme_{name}"
    (site / f"{module}.py").write_text(body)
    info = site / f"{dist.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")


REPORT = """
import sys, trio
from pathlib import Path
from aegis.app import open_kernel
from aegis.callers import Caller
async def main():
    async with open_kernel(Path(sys.argv[1]), environment={}) as kernel:
        for row in kernel.plugins.report():
            if row.name in sys.argv[2].split(","):
                print(row.name, row.state, row.distribution, row.error)
        print("verbs", sorted(v.name for v in kernel.verbs if v.plugin in sys.argv[2].split(",")))
        print("imported", sorted(m for m in sys.modules if m.startswith("acme_")))
trio.run(main)
"""


def started(site: Path, project: Path, names: str, only: str | None = None) -> list[str]:
    """Start a kernel that finds the plugins of `site` (too) and return what it reports of these."""
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", FOLDERS: str(project)} | (
        {} if only is None else {"AEGIS_PLUGINS": only}
    )
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(project), names],
        env=environment, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BROKEN = {
    "import": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "syntax": ("def (", "SyntaxError"),
    "exit": ("raise RuntimeError('not today')", "RuntimeError: not today"),
    "misspelt": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_primitivs(kernel):\n    return []\n",
        "aegis_primitivs",
    ),
    "argument": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_primitives(kernl):\n    return []\n",
        "kernl",
    ),
    "raises": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_primitives(kernel):\n    return [1 // 0]\n",
        "ZeroDivisionError",
    ),
    "generator": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_primitives(kernel):\n    yield 1 // 0\n",
        "ZeroDivisionError",
    ),
    "notalist": ("from aegis import hookimpl\n@hookimpl\ndef aegis_primitives(kernel):\n    return 7\n", "7|int"),
    "settings": ("from aegis import hookimpl\n@hookimpl\ndef aegis_settings():\n    return 7\n", "int"),
    "settingstype": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_settings():\n    return {'acme': object()}\n",
        "acme|object",
    ),
    "drivers": ("from aegis import hookimpl\n@hookimpl\ndef aegis_drivers():\n    return [object()]\n", "name"),
    "reducers": ("from aegis import hookimpl\n@hookimpl\ndef aegis_reducers():\n    return [object()]\n", "name"),
    "restore": (
        "from aegis import hookimpl\nclass P:\n    name = 'p'\n    def restore(self):\n        raise OSError('gone')\n"
        "@hookimpl\ndef aegis_primitives(kernel):\n    return [P()]\n",
        "OSError: gone",
    ),
    "frontends": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_frontends(kernel):\n    return [object()]\n",
        "run",
    ),
    "interceptors": (
        "from aegis import hookimpl\n@hookimpl\ndef aegis_interceptors(kernel):\n    return [object()]\n",
        "none of the points",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_plugin_is_named_with_its_error_and_the_rest_runs(site: Path, project: Path, how: str) -> None:
    body, why = BROKEN[how]
    install(site, "bad", body)
    install(site, "good", GOOD.format(name="good"))
    lines = started(site, project, "bad,good", only="bad,good")
    bad = next(line for line in lines if line.startswith("bad "))
    assert bad.startswith("bad failed acme-bad ")
    assert any(word in bad for word in why.split("|")), bad
    assert "good loaded acme-good " in lines
    assert "verbs ['good do']" in lines


def test_a_disabled_plugin_is_never_imported(site: Path, project: Path) -> None:
    install(site, "good", GOOD.format(name="good"))
    install(site, "other", GOOD.format(name="other"))
    (project / ".aegis.yaml").write_text("plugins:\n  disabled: [other, no-such-plugin]\n")
    lines = started(site, project, "good,other", only="good,other")
    assert "other disabled acme-other " in lines
    assert "imported ['acme_good']" in lines
    assert "verbs ['good do']" in lines


def test_the_environment_narrows_what_is_loaded(site: Path, project: Path) -> None:
    install(site, "good", GOOD.format(name="good"))
    install(site, "other", GOOD.format(name="other"))
    lines = started(site, project, "good,other,ghost", only="good,ghost")
    assert "good loaded acme-good " in lines
    assert "ghost failed  it is not installed" in lines
    assert "imported ['acme_good']" in lines
    assert "imported []" in started(site, project, "good", only="")


def test_two_distributions_of_one_name_are_said(site: Path, project: Path) -> None:
    install(site, "good", GOOD.format(name="good"))
    install(site, "good", GOOD.format(name="good2"), dist="zeta-good", module="acme_good2")
    lines = started(site, project, "good", only="good")
    assert any("two distributions install a plugin of this name" in line for line in lines)


# -- in this process ------------------------------------------------------------------------------------------------


async def test_two_drivers_of_one_name_are_a_sentence_that_names_both(kernel_with: Opened) -> None:
    plugins = {"a": Plugin(drivers=[FakeDriver("same")]), "b": Plugin(drivers=[FakeDriver("same")])}
    async with kernel_with(**plugins) as kernel:
        [error] = [row.error for row in kernel.plugins.report() if row.name == "b"]
        assert re.match(r"plugins 'a' and 'b' both offer the driver 'same'; disable one .*plugins\.disabled", error)
        assert kernel.drivers.owners() == {"same": "a"}


async def test_two_plugins_that_own_one_section_are_a_sentence_that_names_both(kernel_with: Opened) -> None:
    plugins = {"a": Plugin(settings={"queues": dict}), "b": Plugin(settings={"queues": dict})}
    async with kernel_with(**plugins) as kernel:
        [error] = [row.error for row in kernel.plugins.report() if row.name == "b"]
        assert error.startswith("plugins 'a' and 'b' both offer the section 'queues'")
        assert kernel.plugins.names == ["a"]


async def test_each_plugin_gets_its_own_settings_and_only_those(kernel_with: Opened, project: Path) -> None:
    got: dict[str, Any] = {}

    class Asks:
        def __init__(self, name: str, sections: dict[str, Any]) -> None:
            self.name, self.sections = name, sections

        @hookimpl
        def aegis_settings(self) -> dict[str, Any]:
            return self.sections

        @hookimpl
        def aegis_primitives(self, kernel: Any, settings: Any) -> list[Any]:
            got[self.name] = settings
            return []

    (project / ".aegis.yaml").write_text("queues: {ci: 1}\nplugins: {a: {x: 2}}\n")
    async with kernel_with(a=Asks("a", {"plugins.a": dict[str, int]}), q=Asks("q", {"queues": dict[str, int]})):
        assert got == {"a": {"plugins.a": {"x": 2}}, "q": {"queues": {"ci": 1}}}


async def test_the_kernel_alone_runs_and_has_no_verb(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        assert list(kernel.verbs) == []
        assert not kernel.faults
        assert kernel.snapshot()["agents"] == []


async def test_the_public_face_says_of_each_fault_whether_it_is_final(kernel_with: Opened) -> None:
    async with kernel_with() as kernel:
        kernel.bus.report(Fault("a", "stumbled"))
        kernel.bus.report(Fault("b", "fell", final=True))
        assert [(f["source"], f["error"], f["final"]) for f in kernel.snapshot()["faults"]] == [
            ("a", "stumbled", False),
            ("b", "fell", True),
        ]


def test_every_installed_plugin_loads_and_names_its_hooks() -> None:
    rows = {row.name: row for row in discovered().report()}
    assert set(rows) >= {point.name for point in entry_points(group=GROUP)}
    assert {name: row.error for name, row in rows.items() if row.state != "loaded"} == {}
    assert all(row.hooks for row in rows.values())


async def test_a_generator_of_things_is_as_good_as_a_list(kernel_with: Opened) -> None:
    class Thing:
        name = "thing"

        @verb("thing")
        async def thing(self, caller: Caller) -> str:
            """Do."""
            return "x"

    class Lazy:
        @hookimpl
        def aegis_primitives(self, kernel: Any) -> Iterator[Any]:
            yield Thing()

    async with kernel_with(lazy=Lazy()) as kernel:
        assert [v.name for v in kernel.verbs] == ["thing"]
