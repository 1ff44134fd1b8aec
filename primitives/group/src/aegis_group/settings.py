"""The section `groups`: what is taken when a call does not say, and groups that can be had by name."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aegis import Settings


class Defaults(Settings):
    """What is taken when a call does not say."""

    broadcast_timeout: float = Field(600, gt=0, description="seconds until a broadcast ends by itself")
    default_reducer: str = Field("concat", description="how answers become one")


class Preset(Settings):
    """A group that can be had by name."""

    profiles: tuple[str, ...] = Field(min_length=1, description="one member of each; the same one twice is two")
    reducer: str = Field("", description="how its answers become one")
    timeout: float | None = Field(None, gt=0, description="seconds until its broadcasts end by themselves")


class GroupSettings(Settings):
    """`groups`."""

    defaults: Defaults = Defaults()
    presets: dict[str, Preset] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _overlaid(cls, section: Any) -> Any:
        """Take what a file `.aegis/groups/<name>.yaml` says as the preset of that name."""
        if not isinstance(section, dict):
            return section
        files = {k: v for k, v in section.items() if isinstance(v, dict) and "profiles" in v}
        rest = {k: v for k, v in section.items() if k not in files}
        return rest | {"presets": {**(section.get("presets") or {}), **files}} if files else section
