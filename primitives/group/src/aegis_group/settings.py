"""The section `groups`: defaults of broadcasts, and presets of groups."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aegis import Settings


class Defaults(Settings):
    """Values for calls and presets that give none."""

    broadcast_timeout: float = Field(600, gt=0, description="seconds until a broadcast ends by itself")
    default_reducer: str = Field("concat", description="reducer that makes one value of the answers")


class Preset(Settings):
    """A group that `group spawn-mixed --preset NAME` starts."""

    profiles: tuple[str, ...] = Field(min_length=1, description="profiles, one member of each; one may be named twice")
    reducer: str = Field("", description="reducer of its broadcasts; empty: the default one")
    timeout: float | None = Field(None, gt=0, description="seconds until its broadcasts end by themselves")


class GroupSettings(Settings):
    """`groups`."""

    defaults: Defaults = Field(Defaults(), description="values for calls and presets that give none")
    presets: dict[str, Preset] = Field(default_factory=dict, description="groups to start by name")

    @model_validator(mode="before")
    @classmethod
    def _overlaid(cls, section: Any) -> Any:
        """Read each file `.aegis/groups/<name>.yaml` as the preset of that name."""
        if not isinstance(section, dict):
            return section
        files = {k: v for k, v in section.items() if isinstance(v, dict) and "profiles" in v}
        rest, presets = {k: v for k, v in section.items() if k not in files}, section.get("presets") or {}
        if both := sorted(files.keys() & presets.keys()):
            raise ValueError(f"the preset {both[0]!r} is in .aegis/groups/{both[0]}.yaml, too; keep one of the two")
        return rest | {"presets": {**presets, **files}} if files else section
