"""What a run does for an agent is that agent's act: what it may run, call and execute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from aegis import Caller, Decision, Kernel, PermissionRequest, Refused
from aegis.agent import Agent
from aegis.driver import Permission, Seat
from aegis.events import PermissionAnswered, PermissionAsked
from aegis_permission.permission import presume
from aegis_processes.processes import FOR
from aegis_workflow.catalogue import Function, key_of
from aegis_workflow.settings import Allowed, Need

_ORDER: tuple[Permission, ...] = ("read", "auto", "write", "full")
_EVERY, _USUAL = "*", "auto"


def for_agent(caller: Caller) -> bool:
    """Return whether the call is an agent's act, whoever makes it."""
    return bool(caller.agent_id) or caller.class_ == "agent" or caller.principal.startswith("agent:")


class AgentActs:
    """Which workflows an agent may run, and what a run may do for it."""

    def __init__(self, kernel: Kernel, allowed: Callable[[], Mapping[str, Allowed]]) -> None:
        """`allowed` returns what `workflows.allow` says now."""
        self._kernel, self._allowed = kernel, allowed

    def listed(self, name: str, function: Function) -> Allowed | None:
        """Return which agents may run it: as a person listed it, else as its plugin says; None: no agent may."""
        own = {key_of(listed): allowed for listed, allowed in self._allowed().items()}
        said: Allowed | None = own.get(key_of(name))
        needs: Need | None = getattr(function, "agents_need", None)
        if said is None:
            return Allowed(agents=(_EVERY,), permission=needs) if needs else None
        return said if said.permission else said.model_copy(update={"permission": needs or _USUAL})

    def may_run(self, caller: Caller, name: str, function: Function) -> bool:
        """Return whether the caller may run it; people may run all there are."""
        try:
            self.check_run(caller, name, function)
        except Refused:
            return False
        return True

    def check_run(self, caller: Caller, name: str, function: Function) -> None:
        """Raise `Refused` with the lines of `.aegis.yaml` to add when an agent may not run the workflow."""
        if not for_agent(caller):
            return
        profile, mode = self._profile(caller)
        who = f"{caller.principal} (profile {profile!r}, permission {mode})" if profile else caller.principal
        rule = self.listed(name, function)
        if rule is None:
            self._refuse(who, name, profile, mode, "agents run only workflows that a person has listed for them")
        if not {_EVERY, profile} & set(rule.agents):
            there = ", ".join(rule.agents) or "no agent"
            self._refuse(who, name, profile, rule.permission or _USUAL, f"it is listed for {there}")
        need = rule.permission or _USUAL
        if _ORDER.index(mode) < _ORDER.index(need):
            self._refuse(who, name, profile, mode, f"it needs the permission {need}")

    def _refuse(self, who: str, name: str, profile: str, permission: str, why: str) -> NoReturn:
        raise Refused(
            f"{who} may not run the workflow {name!r}: {why}. A person may run it, or let such agents run it by these "
            f"lines in .aegis.yaml:\nworkflows:\n  allow:\n    {name}: {{agents: [{profile or repr(_EVERY)}], "
            f"permission: {permission}}}"
        )

    def _profile(self, caller: Caller) -> tuple[str, Permission]:
        """Return the agent's profile and permission; a stranger, of another machine say, has none and `read`."""
        if agent := self._kernel.roster.get(caller.agent_id):
            return agent.profile_name, agent.profile.permission
        if born := self._kernel.roster.born(caller.agent_id):
            try:
                return born.profile, self._kernel.config.profile(born.profile)[0].permission
            except Refused:
                return born.profile, "read"
        return "", "read"

    def check_call(self, caller: Caller, verb: str) -> None:
        """Raise `Refused` when the run acts for an agent whose verb set does not have this verb."""
        if for_agent(caller) and not caller.may(verb):
            raise Refused(f"{caller.principal} may not use the verb {verb!r}, so its workflow may not either")

    def environment(self, caller: Caller) -> dict[str, str]:
        """Return the variables that commands get: those of the agent's CLI, of a person all."""
        if not for_agent(caller):
            return dict(self._kernel.environment)
        agent = self._kernel.roster.get(caller.agent_id)
        variables = agent.seat.env if agent and agent.seat else self._kernel.environment.bare()
        return {**variables, FOR: caller.agent_id}  # what it runs there is the agent's, too

    async def execute(self, caller: Caller, workflow: str, given: Mapping[str, Any]) -> None:
        """Return once the command may be run: at once for a person; for an agent as its permission says, on record.

        Raises `Refused` with how the request ended.
        """
        if not for_agent(caller):
            return
        agent = self._kernel.roster.get(caller.agent_id)
        if agent is None:
            raise Refused(f"{caller.principal} is not alive here, and nothing is executed for it")
        command = str(given["command"])
        wish = PermissionRequest("", "engine.bash", "execute", f"{command} (workflow {workflow})", dict(given))
        decision = await (agent.seat.ask(wish) if agent.seat else self._ask(agent, wish))
        if not decision.allowed:
            raise Refused(
                f"`{command}` was {decision.outcome} for {agent.handle}: {decision.reason or 'no reason given'}"
            )

    async def _ask(self, agent: Agent, wish: PermissionRequest) -> Decision:
        """Return how the request ended, for an agent that has not been started since aegis was."""
        kernel, profile = self._kernel, agent.profile
        here = (kernel.project.root / (profile.cwd or ".")).resolve()
        seat = Seat(agent.id, agent.handle, profile, here, Path(kernel.project.state), _nothing, _nothing)
        cut = kernel.redactor
        wish = replace(
            wish, id=str(next(kernel.roster.numbers)), title=cut.text(wish.title), input=cut.data(wish.input)
        )
        _, answer = presume(profile.permission, wish.tool, wish.kind, wish.paths, here)
        if answer:
            wish = replace(wish, presumed=Decision(*answer))
            return await kernel.interceptors.permission(seat, wish)
        kernel.bus.publish(agent.id, PermissionAsked(wish.id, wish.tool, wish.kind, wish.title, wish.input))
        decision = Decision("cancelled", "the run ended first")
        try:
            decision = await kernel.interceptors.permission(seat, wish)
        finally:
            kernel.bus.publish(agent.id, PermissionAnswered(wish.id, decision.outcome, decision.reason))
        return decision


def _nothing(*_: Any) -> Any:
    raise Refused("this agent has not been started yet")
