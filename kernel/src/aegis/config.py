"""The project's configuration: `.aegis.yaml` of the closest ancestor, plus overlays, each section checked by its owner.

An overlay is a file `.aegis/<section>/<key>.yaml` whose body is that entry. A bad reload keeps the last good state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml.comments import CommentedMap

from aegis.driver import Driver, Profile, info_of
from aegis.errors import ConfigError, NotFound, listed, nearest
from aegis.project import FILE
from aegis.yamlfile import YamlFile

_Checked = tuple[dict[str, Any], dict[str, Profile], str]
_WIDTH = ("read", "auto", "write", "full")  # permissions by what is done without asking anyone


class Settings(BaseModel):
    """What plugins derive their section's model from: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Config:
    """The configuration in force; plugins read their own sections of it."""

    def __init__(
        self, root: Path, sections: Mapping[str, Any], drivers: Mapping[str, Driver], plugins: Sequence[str]
    ) -> None:
        self.root, self._file = root, YamlFile(root / FILE)
        self._models = {name: m if isinstance(m, TypeAdapter) else TypeAdapter(m) for name, m in sections.items()}
        self._drivers, self._plugins, self._found = dict(drivers), tuple(plugins), ""
        self._enforce(self._check(*self._file.load()))

    def _enforce(self, found: _Checked) -> None:
        self._sections, self.profiles, self._default = found

    def reload(self) -> None:
        """Read the files again; raises `ConfigError` with file, line, key and the nearest valid choice."""
        with self._file.locked():  # an edit under way is in force before this or after it
            self._enforce(self._check(*self._file.load()))

    def edit(self, change: Callable[[CommentedMap], None]) -> None:
        """Change `.aegis.yaml` and take it into force, or raise `ConfigError` and leave both as they were."""
        self._file.edit(change, self._check, self._enforce)

    def section(self, name: str) -> Any:
        """Return the validated section of this name, with its defaults where the files say nothing."""
        return self._sections[name]

    def profile(self, name: str) -> tuple[Profile, Driver]:
        """Return a profile and its driver; every provider is also a profile of its own name, with its defaults."""
        name = name or self.default_agent
        found = self.profiles.get(name)
        if found is None and name in self._drivers:
            found = self._drivers[name].settings(provider=self._drivers[name].name)
        if found is None:
            there = listed(self.names())
            raise NotFound(f"there is no profile {name!r} (profiles: {there}).{nearest(name, self.names())}")
        return found, self._drivers[found.provider]

    def names(self) -> list[str]:
        """Return the names of all profiles, the providers' own among them."""
        return sorted({*self.profiles, *(d.name for d in self._drivers.values())})

    def spawnable(self, name: str) -> list[str]:
        """Return the profiles an agent of this one may spawn: as it says, else all that may do no more than it."""
        own = self.profile(name)[0]
        known = sorted({*self.profiles, *self._drivers})
        return [n for n in known if self._covers(own, self.profile(n)[0])] if own.spawns is None else own.spawns

    def _covers(self, own: Profile, other: Profile) -> bool:
        if other.spawns or _WIDTH.index(other.permission) > _WIDTH.index(own.permission):
            return False  # what a person let it spawn may do anything
        here, there = ((self.root / (profile.cwd or ".")).resolve() for profile in (own, other))
        return includes(own.verbs, other.verbs) and (own.permission == "full" or there.is_relative_to(here))

    @property
    def default_agent(self) -> str:
        """The profile of a new agent when none is named: as configured, else a CLI that is installed."""
        if self._default or self.profiles:
            return self._default or next(iter(self.profiles))
        if not self._found:  # a probe runs `CLI --version`: once is enough
            drivers = {d.name: d for d in self._drivers.values()}
            spare = [n for n, d in drivers.items() if info_of(d).fallback]
            real = (n for n, d in drivers.items() if n not in spare and d.probe().found)
            self._found = next(real, next(iter([*spare, *drivers]), ""))
        return self._found

    def _check(self, document: CommentedMap, plain: dict[str, Any]) -> _Checked:
        plugins = plain.get("plugins") or {}
        if not isinstance(plugins, dict):
            self._fail(document, ["plugins"], "`plugins:` must be a mapping of plugins and their settings")
        if not isinstance(plugins.get("disabled") or [], list):
            self._fail(document, ["plugins", "disabled"], "`disabled:` must be a list of plugins")
        owned = {"default_agent", "agents", "plugins", *(s.split(".")[0] for s in self._models)}
        named = {"disabled", *self._plugins, *(s.split(".")[1] for s in self._models if s.startswith("plugins."))}
        for name in plain.keys() - owned:
            self._fail(document, [name], f"no installed plugin owns the section {name!r}.{nearest(name, owned)}")
        for name in plugins.keys() - named:
            self._fail(document, ["plugins", name], f"{name!r} is not an installed plugin.{nearest(name, named)}")
        sections = {}
        for name, model in self._models.items():
            value = plugins.get(name.split(".")[1]) if "." in name else self._entries(document, plain, name)
            sections[name] = self._validate(document, name.split("."), model, {} if value is None else value)
        agents = self._entries(document, plain, "agents") or {}
        profiles = {name: self._profile(document, name, body) for name, body in agents.items()}
        default, known = plain.get("default_agent") or "", {*profiles, *self._drivers}
        wanted = [(["agents", name, "spawns"], other) for name, p in profiles.items() for other in p.spawns or ()]
        for where, other in [*wanted, (["default_agent"], default)] if default else wanted:
            if not isinstance(other, str) or other not in known:
                self._fail(document, where, f"there is no profile {other!r}.{nearest(str(other), known)}")
        return sections, profiles, default

    def _entries(self, document: CommentedMap, plain: dict[str, Any], name: str) -> Any:
        """Return a section's value, its overlays merged in."""
        value = plain.get(name)
        overlays = sorted((self.root / ".aegis" / name).glob("*.yaml"))
        if (overlays or name == "agents") and not isinstance(value or {}, dict):
            self._fail(document, [name], f"`{name}:` must be a mapping of names")
        for path in overlays:
            if path.stem in (value or {}):
                raise ConfigError(f"{path}: {name}.{path.stem} is also in {self._file.path}; keep one of the two")
            value = {**(value or {}), path.stem: YamlFile(path).load()[1]}
        return value

    def _profile(self, document: CommentedMap, name: str, body: Any) -> Profile:
        if not isinstance(body, dict):
            self._fail(document, ["agents", name], "an agent is a mapping with at least `provider:`")
        provider = str(body.pop("harness", "") or body.get("provider", ""))
        driver = self._drivers.get(provider)
        if driver is None:
            what = f"there is no provider {provider!r}" if provider else "`provider:` is missing"
            hint = f"{what} (installed: {listed(self._drivers)}).{nearest(provider, self._drivers)}"
            self._fail(document, ["agents", name, "provider"], hint)
        model = TypeAdapter(driver.settings)
        profile: Profile = self._validate(document, ["agents", name], model, {**body, "provider": driver.name})
        return profile

    def _validate(self, document: CommentedMap, where: Sequence[str], model: TypeAdapter[Any], value: Any) -> Any:
        try:
            return model.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            at, what = [*where, *first["loc"]], first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                known = _settings_at(model.json_schema(), first["loc"][:-1])
                what = f"there is no setting {at[-1]!r} here (there are: {listed(known)}).{nearest(str(at[-1]), known)}"
            elif first["type"] == "literal_error":
                what = f"{first['input']!r} is none of {first['ctx']['expected']}"
            self._fail(document, at, what)

    def _fail(self, document: CommentedMap, where: Sequence[str | int], what: str) -> NoReturn:
        key = ".".join(map(str, where))
        overlay = self.root / ".aegis" / str(where[0]) / f"{where[1:2] and where[1]}.yaml"
        place = str(overlay) if overlay.exists() else f"{self._file.path}:{self._file.line(document, where)}"
        raise ConfigError(f"{place}: {key}: {what}")


def _settings_at(schema: dict[str, Any], where: Sequence[str | int]) -> list[str]:
    """Return the keys a JSON schema allows at this place."""
    node: Any = schema
    for step in (*where, None):
        while "$ref" in node or "anyOf" in node:
            node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node["anyOf"][0]
        if step is not None:
            node = node.get("properties", {}).get(step) or node.get("additionalProperties") or node.get("items") or {}
    return list(node.get("properties", {}))


def includes(ours: Sequence[str] | None, theirs: Sequence[str] | None) -> bool:
    """Return whether our verb patterns (None: all) have every verb that theirs have, whatever plugins bring yet."""
    wide, narrow = (["*"] if patterns is None else patterns for patterns in (ours, theirs))
    return all(any(_within(pattern, wider) for wider in wide) for pattern in narrow)


def _within(pattern: str, wider: str) -> bool:
    # A star in the one is a character that only a star of the other matches; nobody reckons with `?` and `[` so.
    return wider in ("*", pattern) or (fnmatchcase(pattern, wider) and not {*"?["} & {*pattern, *wider})
