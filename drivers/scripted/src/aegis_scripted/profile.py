"""The keys of a scripted profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from aegis.driver import Profile
from aegis.errors import ConfigError, Refused
from aegis.testing.script import ScriptError, check
from aegis_scripted.default_script import SCRIPT
from aegis_yamlfile.yamlfile import YamlFile


class ScriptedProfile(Profile):
    """A profile with `provider: scripted`."""

    provider: Literal["scripted"] = Field("scripted", description="which driver runs it")
    script: list[dict[str, Any]] | Path | None = Field(
        None, description="its rules, or a YAML file with them under `rules:`; none is a friendly default"
    )

    @field_validator("script")
    @classmethod
    def _can_be_followed(cls, script: Any) -> Any:
        return check(script) if isinstance(script, list) else script

    def rules(self, folder: Path) -> list[dict[str, Any]]:
        """Return the script's rules, a relative path being one in `folder`; raises `Refused` when it cannot be used."""
        if self.script is None:
            return SCRIPT
        if isinstance(self.script, list):
            return self.script
        path = folder / self.script
        if not path.is_file():
            raise Refused(f"the profile's script {path} does not exist")
        try:
            return [dict(rule) for rule in check(YamlFile(path, ConfigError).load()[1].get("rules"))]
        except (ScriptError, ConfigError) as error:
            raise Refused(f"the profile's script {path} cannot be followed: {error}") from None
