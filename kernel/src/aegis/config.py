"""The project's configuration: `.aegis.yaml` of the closest ancestor, plus overlays, each section checked by its owner.

An overlay is a file `.aegis/<section>/<key>.yaml` whose body is that entry. A bad reload keeps the last good state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml.comments import CommentedMap

from aegis.driver import Driver, Profile
from aegis.errors import ConfigError, NotFound, listed, nearest
from aegis.project import FILE
from aegis.yamlfile import YamlFile

_OVERLAYS = frozenset({"agents", "queues", "schedules", "remotes", "groups"})


class Settings(BaseModel):
    """What plugins derive their section's model from: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Config:
    """The configuration in force; plugins read their own sections of it."""

    def __init__(
        self, root: Path, sections: Mapping[str, Any], drivers: Mapping[str, Driver], plugins: Sequence[str]
    ) -> None:
        self.root, self.file = root, root / FILE
        self._models = {name: TypeAdapter(model) for name, model in sections.items()}
        self._drivers, self._plugins = dict(drivers), tuple(plugins)
        self._sections: dict[str, Any] = {}
        self.profiles: dict[str, Profile] = {}
        self._default = ""
        self.reload()

    def reload(self) -> None:
        """Read the files again; raises `ConfigError` with file, line, key and the nearest valid choice."""
        self._sections, self.profiles, self._default = self._checked(*YamlFile(self.file).load())

    def edit(self, change: Callable[[CommentedMap], None]) -> None:
        """Change `.aegis.yaml` and take it into force, or raise `ConfigError` and leave both as they were."""
        file = YamlFile(self.file)
        file.edit(change, lambda document: self._checked(document, file.plain(document)))
        self.reload()

    def section(self, name: str) -> Any:
        """Return the validated section of this name, with its defaults where the files say nothing."""
        return self._sections[name]

    def profile(self, name: str) -> tuple[Profile, Driver]:
        """Return a profile and its driver; every provider is also a profile of its own name, with its defaults."""
        found = self.profiles.get(name or self.default_agent)
        if found is None and name in self._drivers:
            found = self._drivers[name].settings(provider=name)
        if found is None:
            raise NotFound(
                f"there is no profile {name!r} (profiles: {listed(self.names())}).{nearest(name, self.names())}"
            )
        return found, self._drivers[found.provider]

    def names(self) -> list[str]:
        """Return the names of all profiles, the providers' own among them."""
        return sorted({*self.profiles, *(d.name for d in self._drivers.values())})

    @property
    def default_agent(self) -> str:
        """The profile of a new agent when none is named: as configured, else a CLI that is installed."""
        if self._default or self.profiles:
            return self._default or next(iter(self.profiles))
        real = [d.name for d in self._drivers.values() if d.name != "scripted" and d.probe().found]
        return next(iter([*real, *self._drivers]), "")

    # -- checking -----------------------------------------------------------------------------------------------

    def _checked(self, document: CommentedMap, plain: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Profile], str]:
        owned = {"default_agent", "agents", "plugins", *(s.split(".")[0] for s in self._models)}
        for name in plain:
            if name not in owned:
                self._fail(document, (name,), f"no installed plugin owns the section {name!r}.{nearest(name, owned)}")
        names = {s.split(".", 1)[1] for s in self._models if s.startswith("plugins.")} | {"disabled", *self._plugins}
        for name in plain.get("plugins") or {}:
            if name not in names:
                self._fail(
                    document, ("plugins", name), f"{name!r} is configured but not installed.{nearest(name, names)}"
                )
        sections = {name: self._section(document, plain, name) for name in self._models}
        profiles = self._agents(document, self._overlaid(document, plain, "agents"))
        default = plain.get("default_agent") or ""
        if default and default not in {*profiles, *self._drivers}:
            known = [*profiles, *self._drivers]
            self._fail(document, ("default_agent",), f"there is no profile {default!r}.{nearest(str(default), known)}")
        return sections, profiles, default

    def _section(self, document: CommentedMap, plain: dict[str, Any], name: str) -> Any:
        where = name.split(".")
        value: Any = self._overlaid(document, plain, name) if name in _OVERLAYS else plain
        for key in where if name not in _OVERLAYS else ():
            value = (value or {}).get(key)
        return self._validate(document, where, self._models[name], {} if value is None else value)

    def _agents(self, document: CommentedMap, agents: dict[str, Any]) -> dict[str, Profile]:
        profiles: dict[str, Profile] = {}
        for name, body in agents.items():
            where = ["agents", name]
            if not isinstance(body, dict):
                self._fail(document, where, "an agent is a mapping with at least `provider:`")
            provider = body.get("provider", body.get("harness"))
            driver = self._drivers.get(str(provider))
            if driver is None:
                known = listed(self._drivers)
                what = f"there is no provider {provider!r}" if provider else "`provider:` is missing"
                self._fail(
                    document,
                    [*where, "provider"],
                    f"{what} (installed: {known}).{nearest(str(provider), self._drivers)}",
                )
            body = {k: v for k, v in body.items() if k != "harness"} | {"provider": driver.name}
            profiles[name] = self._validate(document, where, TypeAdapter(driver.settings), body)
        return profiles

    def _overlaid(self, document: CommentedMap, plain: dict[str, Any], name: str) -> dict[str, Any]:
        inline = plain.get(name) or {}
        if not isinstance(inline, dict):
            self._fail(document, (name,), f"`{name}:` must be a mapping of names")
        merged = dict(inline)
        for path in sorted((self.root / ".aegis" / name).glob("*.yaml")):
            if path.stem in inline:
                raise ConfigError(f"{path}: {name}.{path.stem} is also in {self.file}; keep one of the two")
            merged[path.stem] = YamlFile(path).load()[1]
        return merged

    def _validate(self, document: CommentedMap, where: Sequence[str], model: TypeAdapter[Any], value: Any) -> Any:
        try:
            return model.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            at, what = [*where, *map(str, first["loc"])], first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                known = self._keys(model, first["loc"][:-1])
                what = f"there is no setting {at[-1]!r} here (there are: {listed(known)}).{nearest(at[-1], known)}"
            elif first["type"] == "literal_error":
                what = f"{first['input']!r} is none of {first['ctx']['expected']}"
            self._fail(document, at, what)

    @staticmethod
    def _keys(model: TypeAdapter[Any], loc: tuple[int | str, ...]) -> list[str]:
        schema = model.json_schema()
        node: Any = schema
        for step in (*loc, None):
            while "$ref" in node or "anyOf" in node:
                node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node["anyOf"][0]
            if step is not None:
                node = (
                    (node.get("properties") or {}).get(step)
                    or node.get("additionalProperties")
                    or node.get("items")
                    or {}
                )
        return list(node.get("properties", {}))

    def _fail(self, document: CommentedMap, where: Sequence[str], what: str) -> Any:
        overlay = self.root / ".aegis" / where[0] / f"{where[1]}.yaml" if len(where) > 1 else None
        if overlay and overlay.exists():
            raise ConfigError(f"{overlay}: {'.'.join(where[2:]) or where[1]}: {what}")
        line = YamlFile(self.file).line(document, where)
        raise ConfigError(f"{self.file}:{line}: {'.'.join(where)}: {what}")
