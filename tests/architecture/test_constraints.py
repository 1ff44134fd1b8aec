"""Everything that gets installed has an exact version, and it is the one in use."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from workspace import ROOT, members

PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    matches = [PIN.match(line) for line in lines]
    assert all(matches), "each line is name==version, with a marker if need be"
    return {canonicalize_name(m[1]): m[2] for m in matches if m}


def installed() -> dict[str, str]:
    """Return what the members and the development tools need, walked through the installed metadata."""
    ours = {canonicalize_name(m.distribution) for m in members()}
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    todo = [(Requirement(line), "") for line in dev]
    for member in members():
        extras = "".join(f"[{extra}]" for extra in member.toml["project"].get("optional-dependencies", {}))
        todo.append((Requirement(member.distribution + extras), ""))
    seen: set[tuple[str, str]] = set()
    found: dict[str, str] = {}
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ["", *requirement.extras]:
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            try:
                dist = distribution(name)
            except PackageNotFoundError:
                found[name] = "not installed"
                continue
            if name not in ours:
                found[name] = dist.version
            todo.extend((Requirement(line), wanted) for line in dist.requires or ())
    return found


def test_what_is_installed_is_what_is_pinned():
    pinned = pins()
    differing = {
        name: (version, pinned.get(name)) for name, version in installed().items() if pinned.get(name) != version
    }
    assert differing == {}, "(installed, pinned): run `make constraints` after adding a dependency"


def test_a_member_is_never_pinned_by_name():
    assert {canonicalize_name(m.distribution) for m in members()} & set(pins()) == set()
