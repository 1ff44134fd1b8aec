"""What each agent CLI can do, as the live tests found it: kept in docs/reference/providers.json, shown as a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from workspace import ROOT

from aegis.testing.abilities import ABILITIES

FILE = ROOT / "docs" / "reference" / "providers.json"
YES, NO, NOT_STAGED = "yes", "no", "not staged"
_RANK = {NO: 2, YES: 1, NOT_STAGED: 0}  # of several tests the strongest counts: what is lacking is not made up for

Rows = dict[str, dict[str, Any]]  # provider → cli, version, driver, abilities


@dataclass(frozen=True)
class Finding:
    """What one test found of one ability of a provider; the reason is why it is not `yes`."""

    provider: str
    ability: str
    can: str
    test: str
    reason: str = ""


def rows(clis: dict[str, dict[str, str]], findings: Iterable[Finding]) -> Rows:
    """Return what was found of each of these CLIs, in an order that does not depend on that of the tests."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.provider, finding.ability), []).append(finding)
    return {
        provider: dict(cli)
        | {"abilities": {name: _outcome(found[provider, name]) for name in ABILITIES if (provider, name) in found}}
        for provider, cli in sorted(clis.items())
    }


def _outcome(findings: list[Finding]) -> dict[str, Any]:
    can = max((finding.can for finding in findings), key=_RANK.__getitem__)
    same = [finding for finding in findings if finding.can == can]
    reason = "; ".join(dict.fromkeys(sorted(f.reason for f in same if f.reason)))
    tests = [] if can == NOT_STAGED else sorted({finding.test for finding in same})
    return {"can": can} | ({"reason": reason} if reason else {}) | ({"tests": tests} if tests else {})


def load() -> Rows:
    """Return what is committed."""
    known: Rows = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return known


def dump(found: Rows) -> str:
    """Return the text of the file."""
    return json.dumps(found, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def differences(before: Rows, now: Rows) -> Iterator[str]:
    """Yield a sentence for whatever is not as it was."""
    for provider in sorted(before.keys() | now.keys()):
        if provider not in now:
            yield f"{provider} is not tested any more"
        elif provider not in before:
            yield f"{provider} is new"
        else:
            yield from _changes(provider, before[provider], now[provider])


def _changes(provider: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in ("cli", "version", "driver"):
        if before.get(key) != now.get(key):
            yield f"{provider}: its {key} was {before.get(key)}, and is {now.get(key)}"
    for name in dict.fromkeys([*before["abilities"], *now["abilities"]]):
        old, new = before["abilities"].get(name), now["abilities"].get(name)
        if _said(old) != _said(new):
            yield f"{provider} {now.get('version')}: {name!r} was {_said(old)}, and is {_said(new)}"
        elif old != new:
            yield f"{provider}: {name!r} is proved by other tests than before"


def _said(outcome: dict[str, Any] | None) -> str:
    if outcome is None:
        return "without a test"
    return f"{outcome['can']} ({outcome['reason']})" if outcome.get("reason") else str(outcome["can"])
