"""The rules in force: asked, added to and taken from; they live in `.aegis.yaml`, where people see them.

Edits are made on the kernel's own thread (100 ms in a file of 300 lines): its configuration is not made for two.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from aegis import ConfigError, Kernel, NotFound, PermissionRequest, Refused, Seat
from aegis_approvals.globs import escaped
from aegis_approvals.places import guarded
from aegis_approvals.secrets import holds_secret
from aegis_approvals.settings import Rule
from aegis_approvals.store import Ended
from aegis_approvals.subject import Subject, subject
from aegis_permission.governing import place

Answer = Literal["allow", "deny"]
_LONGEST = 1_000  # characters of a rule that a person would still read


class Rulebook:
    """`plugins.approvals.rules`, as the configuration in force has them."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @property
    def rules(self) -> list[Rule]:
        """Every rule, in the order of the file."""
        return list(self._kernel.config.section("plugins.approvals").rules)

    def decided(self, seat: Seat, request: PermissionRequest, answer: Answer) -> Ended | None:
        """Return how a rule that gives this answer ends the request, None when no rule does."""
        if answer == "allow" and guarded(self._kernel.project.root, seat.cwd, request.paths):
            return None
        ours = [r for r in self.rules if r.fits(request.tool, request.kind) and self._holds_for(r.agent, seat)]
        rule = chosen(ours, subject(request, seat.cwd), answer)
        outcome: Literal["allowed", "denied"] = "allowed" if answer == "allow" else "denied"
        return Ended(outcome, f"the rule {rule.id} says: {rule}", rule.id) if rule else None

    def _holds_for(self, name: str, seat: Seat) -> bool:
        agent = self._kernel.roster.get(seat.agent_id)
        if agent and name in (agent.profile_name, agent.handle):
            return True
        with suppress(NotFound):  # a handle it had before it was renamed
            return self._kernel.roster.find(name).id == seat.agent_id
        return False

    def rules_for(self, seat: Seat, request: PermissionRequest, answer: Answer) -> list[Rule]:
        """Return the rules that answer this request, and what is like it, the same way in future.

        A command is taken exactly, a file with the other files of its folder. Raises `Refused` when no rule can be
        narrow enough, or would hold a secret.
        """
        handle = self._kernel.roster.label(seat.agent_id)
        about = subject(request, seat.cwd)
        globs = {_narrow(about.sort, value, seat.cwd) for value in about.values}
        if why := self._objection(handle, seat, request, globs):
            raise Refused(f"no rule was made of this: {why}; answer it this once")
        what: Any = {"tool": request.tool} if request.tool else {"kind": request.kind}
        return [Rule(agent=handle, match=glob, answer=answer, **what) for glob in sorted(globs)]

    def _objection(self, handle: str, seat: Seat, request: PermissionRequest, globs: set[str]) -> str:
        if not globs or "" in globs:
            return "it says neither its command nor a file, so the rule would cover everything the tool does"
        if guarded(self._kernel.project.root, seat.cwd, request.paths):
            return "it is about aegis's own settings, and an agent that may write there gives itself permission"
        if handle in self._kernel.config.names():
            return f"{handle} is also the name of a profile, and the rule would hold for all its agents"
        if any(len(glob) > _LONGEST for glob in globs):
            return f"it is longer than {_LONGEST} characters, and nobody reads such a rule"
        if not all(writable(glob) for glob in globs):
            return "it holds characters that nobody sees"
        if any(holds_secret(glob, {**self._kernel.environment, **seat.env}) for glob in globs):
            return "it looks like it holds a secret, and rules are written into .aegis.yaml"
        return ""

    def add(self, rules: Sequence[Rule], who: str) -> None:
        """Write the rules into `.aegis.yaml` and into force for `who`; raises `ConfigError` when nothing has."""

        def change(document: Any) -> None:
            there = _rules_of(document)
            known = {_id_of(entry) for entry in there}
            there.extend(rule.model_dump(exclude_none=True) for rule in rules if rule.id not in known)

        self._kernel.config.edit(change, who)

    def revoke(self, rule_id: str, who: str) -> Rule:
        """Take the rule out of `.aegis.yaml` and out of force; raises `NotFound` naming those there are."""
        found = [rule for rule in self.rules if rule.id == rule_id]
        if not found:
            there = "; ".join(f"{rule.id}: {rule}" for rule in self.rules) or "none"
            raise NotFound(f"there is no rule {rule_id!r} (rules: {there})")

        def change(document: Any) -> None:
            there = _rules_of(document)
            for n in reversed([n for n, entry in enumerate(there) if _id_of(entry) == rule_id]):
                del there[n]

        self._kernel.config.edit(change, who)
        return found[0]


def chosen(rules: Sequence[Rule], about: Subject, answer: Answer) -> Rule | None:
    """Return the first rule that gives this answer: to deny one value is enough, to allow each must be covered."""
    fitting = [rule for rule in rules if rule.answer == answer]
    found = [next((r for r in fitting if r.covers(about.sort, value)), None) for value in about.values]
    if answer == "allow" and not all(found):
        return None
    return next(filter(None, found), None)


def _narrow(sort: str, value: str, folder: Path) -> str:
    """Return the glob of a value: itself, but of a file all that lie beside it."""
    if sort != "path" or ((found := place(folder, value)) and found.is_dir()):
        return escaped(value)
    return f"{escaped(value.rpartition('/')[0])}/*"


def writable(text: str) -> bool:
    """Return whether the text is in a YAML file what it is here, and on a screen what it says."""
    return all(c.isprintable() or c in "\n\t" for c in text)


def _rules_of(document: Any) -> Any:
    """Return the document's list of rules, which is there from now on; raises `ConfigError` where it cannot be."""
    for name, empty in (("plugins", {}), ("approvals", {}), ("rules", [])):
        if document.get(name) is None:
            document[name] = empty
        document = document[name]
        if not isinstance(document, type(empty)):
            raise ConfigError(
                f".aegis.yaml: {name} must be a {'mapping' if empty == {} else 'list'}; it was not changed"
            )
    return document


def _id_of(entry: Any) -> str:
    """Return the id of an entry's rule, empty when it is not a rule: the check after the edit says what is wrong."""
    try:
        return Rule.model_validate(dict(entry)).id
    except (TypeError, ValueError):
        return ""
