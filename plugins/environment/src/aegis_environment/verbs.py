"""What people and programs ask about the variables of CLIs."""

from __future__ import annotations

import msgspec

from aegis import Caller, verb
from aegis_environment.inheritance import Inheritance


class Passed(msgspec.Struct, frozen=True):
    """Names of aegis's own variables: those every CLI gets, those only one provider's gets, those none gets."""

    every: list[str]
    only: dict[str, list[str]]
    none: list[str]

    def __str__(self) -> str:
        parts = [f"only to {name}: {', '.join(names)}" for name, names in self.only.items()]
        parts += [f"to no CLI: {', '.join(self.none)}"] if self.none else []
        how = "to pass one on: `environment: {inherit: [NAME]}`, or in one profile `env: {NAME: '${secret:NAME}'}`"
        return "; ".join([*parts, how]) if parts else "every variable is passed on to CLIs"


class EnvironmentVerbs:
    """Says what is passed on; names only, never values."""

    name = "environment"

    def __init__(self, inheritance: Inheritance) -> None:
        self._inheritance = inheritance

    @verb("environment list", read_only=True, for_={"person", "program"})
    async def passed(self, caller: Caller) -> Passed:
        """Show which of aegis's own variables are passed on to CLIs, and which are not."""
        every, only = self._inheritance.shared(), self._inheritance.by_provider()
        passed = every.keys() | set[str]().union(*only.values())
        none = {n for n in self._inheritance.ours.keys() - passed if not n.startswith("AEGIS_")}  # those are for us
        return Passed(sorted(every), {name: sorted(names) for name, names in sorted(only.items())}, sorted(none))
