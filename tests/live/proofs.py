"""Which test proved what of which CLI: a whole run without a failure must find what docs/reference/providers.json says.

A test names what it proves by `@pytest.mark.ability`. Of whom it proves it is said by the class (`provider = "..."`),
by its parameters, or by the fixtures of the CLIs that it uses.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import matrix
import pytest
from matrix import NO, NOT_STAGED, YES, Finding

from aegis.testing.abilities import ABILITIES
from aegis.testing.contract_base import StagedDriver

HERE = Path(__file__).parent
FIXTURES = {"claude": "claude-code", "gemini": "gemini", "opencode": "opencode"}  # each is the path of a CLI


class Proofs:
    """A pytest plugin that gathers what the tests of this folder find."""

    def __init__(self, config: pytest.Config) -> None:
        self._write = bool(config.getoption("matrix", default=False))
        self._output: dict[str, Any] | None = getattr(config, "workeroutput", None)  # of one of several workers
        self._whole, self._providers, self._nobody = False, set[str](), list[str]()
        self._clis: dict[str, dict[str, str]] = {}
        self._findings: list[Finding] = []
        self._said: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Refuse an ability that has no name in the list."""
        if unknown := [name for name in _abilities(item) if name not in ABILITIES]:
            raise pytest.UsageError(
                f"{item.nodeid} proves {unknown[0]!r}, which is no ability; there are: {', '.join(ABILITIES)}"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """See whether all of this folder is going to run."""
        mine = [item for item in session.items if item.path.is_relative_to(HERE)]
        files, option = {item.path for item in mine}, session.config.option
        narrowed = (
            option.keyword or option.markexpr or option.deselect or any("::" in arg for arg in session.config.args)
        )
        narrowed = narrowed or option.collectonly or getattr(option, "lf", False)
        self._whole = not narrowed and files == set(HERE.glob("test_*.py"))
        declared = {item.cls.provider for item in mine if getattr(getattr(item, "cls", None), "provider", "")}
        self._providers = declared | set(FIXTURES.values())
        proving = [item for item in mine if _abilities(item)]
        self._nobody = sorted({_place(item) for item in proving if not _providers(item, self._providers)})
        if file := getattr(option, "proofs", None):
            Path(file).write_text(matrix.dump(self._expected(proving)), encoding="utf-8")

    def _expected(self, items: Iterable[pytest.Item]) -> matrix.Rows:
        """Return what these tests find if each of them that can be played passes."""
        found = [
            Finding(provider, name, can, item.nodeid.partition("[")[0], reason)
            for item in items
            for provider in _providers(item, self._providers)
            for name, can, reason in _found(item, list(item.iter_markers("ability")), None)
        ]
        return matrix.rows({provider: {} for provider in self._providers}, found)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note what the test found."""
        report: pytest.TestReport = yield
        marks = list(item.iter_markers("ability"))
        if marks and item.path.is_relative_to(HERE) and (report.when == "call" or report.skipped):
            for provider in _providers(item, self._providers):
                if cli := _cli(getattr(item, "funcargs", {})):
                    self._clis.setdefault(provider, cli)
                test = item.nodeid.partition("[")[0]
                for name, can, reason in _found(item, marks, report):
                    self._findings.append(Finding(provider, name, can, test, reason))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write what was found, or fail when it is not what was written."""
        if self._output is not None:
            found = [astuple(finding) for finding in self._findings]
            self._output["proofs"] = (self._whole, sorted(self._providers), self._nobody, self._clis, found)
            return
        whole = self._whole and exitstatus == pytest.ExitCode.OK
        if whole and self._nobody:
            names = ", ".join(self._nobody)
            self._fail(session, f'say of whom these prove what they prove, by `provider = "..."` in the class: {names}')
        elif whole:
            self._settle(session)
        elif self._write:
            self._fail(session, "nothing was written: it is written of a whole run in which no test fails")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what one of several workers found; each has seen the whole list of tests."""
        if proofs := getattr(node, "workeroutput", {}).get("proofs"):
            self._whole, providers, self._nobody, clis, found = proofs
            self._providers |= set(providers)
            self._clis |= clis
            self._findings += [Finding(*finding) for finding in found]

    def _settle(self, session: pytest.Session) -> None:
        before, now = matrix.load(), matrix.rows(self._clis, self._findings)
        now |= {name: before[name] for name in self._providers & before.keys() - now.keys()}  # not installed here
        now = dict(sorted(now.items()))
        if self._write:
            matrix.FILE.write_text(matrix.dump(now))
            self._said.append(f"wrote {matrix.FILE.name}")
        elif changed := list(matrix.differences(before, now)):
            self._fail(session, *changed, "run `make matrix`, and commit what it writes if it is meant")

    def _fail(self, session: pytest.Session, *sentences: str) -> None:
        self._said += sentences
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what became of it."""
        if self._said:
            terminalreporter.section("what the CLIs can do")
            for sentence in self._said:
                terminalreporter.line(sentence)


def _abilities(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("ability") for name in mark.args]


def _place(item: pytest.Item) -> str:
    cls = getattr(item, "cls", None)
    return f"{item.path.name}::{cls.__name__ if cls else item.name.partition('[')[0]}"


def _providers(item: pytest.Item, known: Iterable[str]) -> set[str]:
    """Return whom the test is about."""
    if declared := getattr(getattr(item, "cls", None), "provider", ""):
        return {declared}
    values = [value for value in getattr(getattr(item, "callspec", None), "params", {}).values() if type(value) is str]
    used = [FIXTURES.get(name, name) for name in [*values, *getattr(item, "fixturenames", ())]]
    return set(used) & set(known)


def _found(
    item: pytest.Item, marks: list[pytest.Mark], report: pytest.TestReport | None
) -> Generator[tuple[str, str, str], None, None]:
    """Yield (ability, outcome, reason); nothing for a test that failed or whose CLI is not here.

    Without a report it is what the test finds if it passes.
    """
    cls = getattr(item, "cls", None)
    staged = cls if cls and issubclass(cls, StagedDriver) else StagedDriver
    scenes = [scene for mark in item.iter_markers("scene") for scene in mark.args]
    lacking = staged.lacking()
    for mark in marks:
        for name in mark.args:
            if hasattr(report, "wasxfail"):
                yield name, NO, report.wasxfail
            elif (report is None or report.skipped) and (why := staged.missing(scenes)):
                yield name, NOT_STAGED, "; ".join(dict.fromkeys(why.values()))
            elif report is None or report.passed:
                reason = mark.kwargs.get("no", "") or lacking.get(name, "")
                yield name, NO if reason else YES, reason


def _cli(funcargs: Mapping[str, Any]) -> dict[str, str]:
    """Return what a test of a driver's contract runs: the CLI's package, its version, and the driver's."""
    driver, stage = funcargs.get("driver"), funcargs.get("stage")
    if driver is None or not isinstance(stage, Mapping):
        return {}
    name, version = _package(stage["command"])
    return {"cli": name, "version": version, "driver": type(driver).__module__.partition(".")[0].replace("_", "-")}


def _package(command: Iterable[str]) -> tuple[str, str]:
    """Return name and version of the npm package in which the command is."""
    for path in (Path(word).resolve() for word in command):
        for folder in path.parents if "node_modules" in path.parts else ():
            if (file := folder / "package.json").exists() and "version" in (package := json.loads(file.read_text())):
                return package["name"], package["version"]
    return next(iter(command), ""), ""
