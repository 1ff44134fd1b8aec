"""What may be run in a terminal: the rules of the project, then the permission of the agent that asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aegis import Caller, Kernel, PermissionRequest, Refused
from aegis.clock import new_id
from aegis_permission.acts import mode_of
from aegis_terminal.secrets import Secrets
from aegis_terminal.settings import Rule, TerminalSettings, Verdict

_STRICTEST: tuple[Verdict, ...] = ("deny", "ask", "allow")
_ANY, _ALONE = ".", r"[^;&|<>()$`\n\r]"  # the star of an allow rule matches nothing that chains commands
_LONGEST = 4_096  # characters; no allow rule covers a longer command


def covers(rule: Rule, command: str) -> bool:
    """Return whether the rule is about this command."""
    if rule.answer == "allow":
        return len(command) <= _LONGEST and bool(_glob(rule.match, _ALONE).fullmatch(command.strip()))
    return bool(_glob(rule.match, _ANY).fullmatch(command.strip()))


@lru_cache(256)
def _glob(glob: str, one: str) -> re.Pattern[str]:
    """Return the glob as a pattern that takes linear time: each part is searched once, from the left."""
    first, *parts = map(re.escape, glob.split("*"))
    if not parts:
        return re.compile(first)
    middle = "".join(f"(?>{one}*?{part})" for part in parts[:-1])
    return re.compile(f"{first}{middle}{one}*{parts[-1]}", re.DOTALL)


class Policy:
    """Allows what a caller wants to do, asks a person, or refuses it."""

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any], secrets: Secrets) -> None:
        self._kernel, self._settings, self._secrets = kernel, settings, secrets

    @property
    def _rules(self) -> tuple[Rule, ...]:
        section: TerminalSettings = self._settings["plugins.terminal"]  # as it is now
        return section.policy

    async def run(self, caller: Caller, terminal: str, command: str) -> None:
        """Return once the caller may run the command in this terminal; raises `Refused`."""
        rule = self._rule(command)
        if rule and rule.answer == "deny":
            raise Refused(f"the policy of this project refuses {rule.match!r} (plugins.terminal.policy in .aegis.yaml)")
        if rule and rule.answer == "ask" and not caller.agent_id and caller.class_ != "person":
            raise Refused(
                f"a person must be asked before {rule.match!r} is run, and {caller} cannot ask; have a person run it"
            )
        mode = self._mode(caller)
        if mode == "full" and not (rule and rule.answer == "ask"):
            return
        if mode == "read" or not (rule and rule.answer == "allow"):
            await self._ask(caller, mode, "aegis_term_run", f"{command} (in {terminal})", {"command": command})

    async def open(self, caller: Caller, what: str, *, plain: bool) -> None:
        """Return once the caller may open or close a terminal; `plain`: there is nothing about it to be asked.

        Raises `Refused`.
        """
        mode = self._mode(caller)
        if mode != "full" and not (mode == "write" and plain):
            await self._ask(caller, mode, "aegis_term_spawn", what, {"terminal": what})

    async def type(self, caller: Caller, terminal: str, keys: str, *, own: bool) -> None:
        """Return once the caller may press these keys: with keys anything can be run. Raises `Refused`.

        To stop what runs is asked about in what is not its `own`.
        """
        mode = self._mode(caller)
        stops = keys == "\x03" and (mode == "full" or (own and mode != "read"))
        if not stops and not (mode == "full" and (not self._rules or not caller.agent_id)):
            await self._ask(caller, mode, "aegis_term_keys", f"type {keys!r} into {terminal}", {"keys": keys})

    def _rule(self, command: str) -> Rule | None:
        covering = [rule for rule in self._rules if covers(rule, command)]
        return min(covering, key=lambda rule: _STRICTEST.index(rule.answer), default=None)

    def _mode(self, caller: Caller) -> str:
        return mode_of(self._kernel, caller)

    async def _ask(self, caller: Caller, mode: str, tool: str, title: str, given: dict[str, str]) -> None:
        if not caller.agent_id:  # people are not asked about what they do themselves
            return
        if mode == "read":
            raise Refused(
                f"{caller} has the permission read: it may list, read and follow terminals, but not use them; "
                "ask a person or another agent"
            )
        agent = self._kernel.roster.get(caller.agent_id)
        if agent is None or agent.seat is None:
            raise Refused(f"{caller} is closed")
        title, given = self._secrets.cut(title), {k: self._secrets.cut(v) for k, v in given.items()}  # it is recorded
        decision = await agent.seat.ask(PermissionRequest(new_id(), tool, "execute", title, given, verb=tool))
        if not decision.allowed:
            raise Refused(f"{tool} was {decision.outcome}: {decision.reason or 'no reason given'}")
