"""`aegis doctor` and `aegis plugin list`: what is here, where it is, and what is broken."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import aegis
from aegis import AegisError, ConfigError, Driver, Profile, Refused
from aegis.config import Config
from aegis.driver import Checks, by_every_name, info_of
from aegis.plugins import declare, disabled_in, discovered
from aegis.project import FILE, Project
from aegis.registry import Registry
from aegis_cli import render
from aegis_cli.asking import trust_of
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.config_warnings import config_warnings
from aegis_cli.shell import Shell, installed_index, own_parser
from aegis_cli.socket_path import socket_of
from aegis_cli.stop import held
from aegis_cli.transcript import STAYS
from aegis_discovery.discovery import Discovery, Found
from aegis_ledger.continuity import Continuity
from aegis_private.ownership import why_movable
from aegis_trust.state import known
from aegis_trust.trust import FOLDERS

_NO_CLI = "no agent CLI was found: only scripted agents can be started, without any model; install one of the above"
_LITTLE = 100 * 2**20  # bytes of free disk below which the ledger is in danger
_NO_KERNEL: dict[str, Any] = {
    "running": False, "faults": {}, "text": "not running", "remarks": [],
    "environment": "while aegis runs, `aegis environment list` says which variables CLIs get",
}  # fmt: skip


def run(shell: Shell, words: Sequence[str]) -> int:
    """Print the findings; 1 when something is broken."""
    shell = shell.with_options(vars(own_parser("doctor").parse_args(words)))
    findings = examine(shell.project)
    shell.show(findings, _text(findings))
    return 1 if findings["problems"] else 0


def plugins(shell: Shell, words: Sequence[str]) -> int:
    """Print the installed plugins and what became of each."""
    shell = shell.with_options(vars(own_parser("plugin list").parse_args(words)))
    shell.show(_plugins(shell.project, {})[0])
    return 0


def examine(project: Project) -> dict[str, Any]:
    """Return everything a person needs to know to help themselves; what is broken is listed under `problems`."""
    problems = _owners(project)
    kernel = _kernel(project, problems)
    # What fails only once a kernel starts is known from the running one, or from the trial that makes the index.
    failed = kernel["faults"] if kernel["running"] else installed_index().rebuild()["failed"]
    rows, found = _plugins(project, failed)
    problems += [f"the plugin {row['name']!r} is broken: {row['error']}" for row in rows if row["state"] == "failed"]
    named = {row["name"] for row in rows}
    problems += [f"{name}: {error}" for name, error in failed.items() if name not in named]
    advice: list[str] = []
    calls_home: list[str] = []
    drivers, config = _configuration(project, found, problems, advice, calls_home)
    advice += [remark for remark in kernel["remarks"] if remark not in problems]  # what only plugins that run know
    return {
        "aegis": aegis.__version__,
        "python": f"{platform.python_version()} ({sys.prefix})",
        "project": str(project.root),
        "config": config,
        "trust": _trust(project, advice),
        "kernel": kernel["text"],
        "socket": _socket(project),
        "state": _state(project, problems),
        "disk_free": _disk(project, problems),
        "environment": kernel["environment"],
        "providers": drivers,
        "plugins": rows,
        "calls_home": calls_home,
        "problems": problems,
        "advice": advice,
    }


def _trust(project: Project, advice: list[str]) -> str:
    trust = trust_of(project)
    if why := trust.reason():
        advice.append(why)
    if known(trust, project.state) == "foreign":
        advice.append(f"{project.state} was not made here by you; aegis sets it aside when it starts")
    if trust.vouched:
        return f"trusted whatever it says ({FOLDERS})"
    return "not trusted" if why else "trusted as it is" if trust.record.when else "nothing here needs it"


def _owners(project: Project) -> list[str]:
    """Return why no kernel would start here: others may change the project, or put another in its place."""
    problems = [why] if (why := why_movable(project.root)) else []
    try:
        project.folder().close()
    except FileNotFoundError:
        pass  # there is no state yet
    except (AegisError, OSError) as error:
        problems.append(str(error))
    return problems


def _kernel(project: Project, problems: list[str]) -> dict[str, Any]:
    try:
        with BlockingClient(project) as kernel:
            pid, view = kernel.ask("hello")["pid"], kernel.ask("snapshot")
            environment = _environment(kernel)
        problems += view.get("failing", [])
        final = {f["source"]: f["error"] for f in view["faults"] if f["final"]}
        stays = f", {STAYS}" if view["config"]["error"] else ""
        told = {"environment": environment, "remarks": view["config"]["remarks"]}
        return {"running": True, "faults": final, "text": f"running (pid {pid}){stays}", **told}
    except AegisError as error:
        if held(project):
            problems.append(f"a kernel holds the project but cannot be reached: {error}")
            return _NO_KERNEL | {"text": "holds the project, does not answer"}
    return _NO_KERNEL


def _environment(kernel: BlockingClient) -> str:
    """Return which variables CLIs do not get, in the words of the plugin that decides it."""
    try:
        return str(kernel.perform("environment list", {})[1])
    except AegisError as error:
        return f"not known: {error}"


def _plugins(project: Project, failed: dict[str, str]) -> tuple[list[dict[str, Any]], Discovery]:
    try:
        disabled = disabled_in(project.root)
    except ConfigError:
        disabled = set()  # the configuration is reported for itself
    found = discovered(disabled)
    for hook in ("aegis_consoles", "aegis_reducers"):
        for _ in found.offers(hook):
            pass  # asked only for the errors of those that cannot answer
    return [_row(row, failed) for row in found.report()], found


def _row(row: Found, failed: dict[str, str]) -> dict[str, Any]:
    error = row.error or (failed.get(row.name, "") if row.state != "disabled" else "")
    state = "failed" if error else row.state
    return {
        "name": row.name, "distribution": row.distribution, "version": row.version, "state": state, "error": error
    }  # fmt: skip


def _configuration(
    project: Project, found: Discovery, problems: list[str], advice: list[str], calls_home: list[str]
) -> tuple[list[dict[str, Any]], str]:
    rows: list[dict[str, Any]] = []
    try:
        drivers: Registry[Driver] = Registry("driver")
        sections: Registry[Any] = Registry("section")
        declare(found, found.names, drivers, sections)
        rows = [_provider(name, driver) for name, driver in drivers.items()]
        every = by_every_name(drivers)
        config = Config(project.root, sections, drivers)
        problems += config.remarks
    except ConfigError as error:
        problems.append(str(error))
        return rows, str(error)
    plugins = {row.name for row in found.report()}
    problems += config_warnings(project, config.profiles, plugins, installed_index().load()["names"])
    hints = {row["provider"]: row["hint"] for row in rows if not row["found"]}
    hints = {name: hints[driver.name] for name, driver in every.items() if driver.name in hints}
    for name, profile in config.profiles.items():
        problems += _wants(name, profile, every[profile.provider], hints)
    calls_home += _calls_home(config.profiles, every, {row["provider"] for row in rows if row["found"]})
    real = {driver.name for driver in drivers.values() if not info_of(driver).fallback}
    used = {every[profile.provider].name for profile in config.profiles.values()}
    if not real & {*used, *(row["provider"] for row in rows if row["found"])}:
        advice.append(_NO_CLI)
    profiles = f"profiles: {', '.join(config.profiles)}" if config.profiles else "no profiles of your own"
    said = f"ok ({profiles})" if (project.root / FILE).exists() else f"no {FILE}; every provider is a profile"
    return rows, said


def _calls_home(profiles: Mapping[str, Profile], drivers: Mapping[str, Driver], found: Set[str]) -> Iterator[str]:
    """Yield a sentence for every CLI here that does more on the network than ask its model, as far as is known."""
    used = {drivers[profile.provider].name for profile in profiles.values()}
    for driver in dict.fromkeys(drivers.values()):
        if (driver.name in used or driver.name in found) and (still := info_of(driver).calls_home):
            yield f"{driver.name} may still call home: {still}"
    for name, profile in profiles.items():
        if not profile.quiet and not info_of(drivers[profile.provider]).fallback:
            yield f"the CLI of the profile {name!r} may call home: telemetry, updates, installs (`quiet` is off)"


def _wants(name: str, profile: Profile, driver: Driver, hints: dict[str, str]) -> list[str]:
    """Return why no agent of the profile could be started, as far as that is known without starting one."""
    try:
        if isinstance(driver, Checks):
            driver.check(profile)
    except Refused as refusal:
        return [f"the profile {name!r} cannot be used: {refusal}"]
    command = dict(profile).get("command")  # which may be another than the one its provider is looked for by
    if shutil.which(command[0]) if command else profile.provider not in hints:
        return []
    usual = not command or command == type(profile).model_fields["command"].get_default(call_default_factory=True)
    hint = hints.get(profile.provider, "") if usual else ""
    needed = command[0] if command else profile.provider
    return [f"the profile {name!r} needs {needed}, which is not found. {hint}".strip()]


def _provider(name: str, driver: Any) -> dict[str, Any]:
    try:
        probe = driver.probe()
    except Exception as error:  # noqa: BLE001 - a driver's fault is that driver's finding
        return {"provider": name, "found": False, "version": "", "proven": "", "path": "", "hint": repr(error)}
    same = probe.proven and probe.proven in probe.version.split()
    proven = "yes" if same else f"no, {probe.proven} is" if probe.proven else "no"
    return {
        "provider": name, "found": probe.found, "version": probe.version, "proven": proven if probe.found else "",
        "path": probe.path, "hint": "" if probe.found else probe.hint,
    }  # fmt: skip


def _state(project: Project, problems: list[str]) -> str:
    folder = _existing(project.state)
    if not os.access(folder, os.W_OK):
        problems.append(f"{folder} cannot be written to")
    if not held(project) and (trouble := Continuity(project.state / "ledger.db").trouble()):
        problems.append(f"{trouble}; put the right one back, or go on with it by `aegis ledger accept`")
    return str(project.state) if folder == project.state else f"{project.state} (not there yet)"


def _socket(project: Project) -> str:
    try:
        return str(socket_of(project))
    except (AegisError, OSError):
        return "where the next kernel says"


def _disk(project: Project, problems: list[str]) -> str:
    free = shutil.disk_usage(_existing(project.state)).free
    if free < _LITTLE:
        problems.append(f"the disk of {project.root} has only {free / 2**20:.0f} MB left")
    return f"{free / 2**30:.1f} GB"


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if os.access(p, os.F_OK))  # and where one may look


def _text(findings: dict[str, Any]) -> str:
    width = render.width_of(sys.stdout)
    facts = {name: value for name, value in findings.items() if isinstance(value, str)}
    problems = [f"✗ {p}" for p in findings["problems"]] or ["✓ nothing is broken"]
    problems += [f"! {a}" for a in findings["advice"]]
    parts = [render.fields(facts)]
    parts += [render.table(findings[name], width) for name in ("providers", "plugins") if findings[name]]
    parts += ["\n".join(findings["calls_home"])] if findings["calls_home"] else []
    return "\n\n".join([*parts, "\n".join(problems)])
