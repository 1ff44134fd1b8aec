"""The project's configuration: `.aegis.yaml` of the closest ancestor, plus overlays, each section checked by its owner.

An overlay is a file `.aegis/<section>/<key>.yaml` whose body is that entry. A bad reload keeps the last good state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import trio
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from aegis.driver import Driver, Profile, by_every_name
from aegis.errors import ConfigError, NotFound, listed, nearest
from aegis.events import ConfigChanged
from aegis.project import FILE
from aegis.registry import Registry
from aegis_yamlfile.schema import complaint, keys_at
from aegis_yamlfile.yamlfile import Document, YamlFile


class Settings(BaseModel):
    """What plugins derive their section's model from: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(slots=True)
class _Checked:
    """What the files say: sections, profiles, those that cannot be used and why, the default agent, remarks."""

    document: Document
    plain: dict[str, Any]
    sections: dict[str, Any]
    profiles: dict[str, Profile]
    unusable: dict[str, str]
    default: str
    remarks: list[str]


class _Live(Mapping[str, Any]):
    """The sections of one plugin, each as it is when it is looked up."""

    def __init__(self, config: Config, names: Sequence[str]) -> None:
        self._config, self._names = config, names

    def __getitem__(self, name: str) -> Any:
        return self._config.section(name if name in self._names else "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Config:
    """The configuration in force: `profiles` that can be used, the `unusable` and why, `remarks` on the rest.

    `error` says why the files are not in force, when they are wrong.
    """

    def __init__(
        self,
        root: Path,
        sections: Registry[Any],
        drivers: Registry[Driver],
        tell: Callable[[ConfigChanged], object] = lambda change: None,
        file: YamlFile | None = None,
    ) -> None:
        """Read the files; what changes in the registries counts from `check_again` on. Raises `ConfigError`."""
        self.root, self._file, self.error = root, file or YamlFile(root / FILE, ConfigError), ""
        self.sections, self._drivers, self._tell = sections, drivers, tell
        self.remarkers: Registry[Callable[[], Iterable[str]]] = Registry("remarks on the configuration")
        self._keep(self._check(*self._file.load()))

    def _keep(self, found: _Checked) -> None:
        self._found, self.profiles, self.unusable = found, found.profiles, found.unusable

    @property
    def remarks(self) -> list[str]:
        """What in the files has no effect here, each a sentence; plugins add theirs to `remarkers`."""
        return [*self._found.remarks, *(remark for tell in self.remarkers.values() for remark in tell())]

    def _enforce(self, found: _Checked, who: str, error: str = "") -> None:
        was, now = (
            {**f.sections, "agents": (f.profiles, f.unusable), "default_agent": f.default} for f in (self._found, found)
        )
        self._keep(found)
        changed = tuple(sorted(n for n in was.keys() | now.keys() if n not in was or n not in now or was[n] != now[n]))
        if changed or self.error != error:
            self.error = error
            self._tell(ConfigChanged(changed, who, error))

    async def refresh(self, who: str = "") -> None:
        """Read the files again, in a thread; raises `ConfigError` with file, line, key and the nearest valid choice."""
        found = before = None
        try:
            while found is None or before is not self._found:  # an edit came between: read what it wrote
                before = self._found
                found = await trio.to_thread.run_sync(lambda: self._check(*self._file.load()))
        except ConfigError as error:
            self._enforce(self._found, who, str(error))
            raise
        self._enforce(found, who)

    def check_again(self, who: str = "") -> None:
        """Check what was read last by what is here now; the files stay as wrong as they were. Raises `ConfigError`."""
        self._enforce(self._check(self._found.document, self._found.plain), who, self.error)

    def edit(self, change: Callable[[Document], None], who: str = "") -> None:
        """Change `.aegis.yaml` and take it into force, or raise `ConfigError` and leave both as they were."""
        self._file.edit(change, self._check, partial(self._edited, who))

    def edit_overlay(self, section: str, key: str, change: Callable[[Document], None] | None, who: str = "") -> None:
        """Change the file that is this entry of a section, or remove it when there is no `change`; as `edit` does."""
        self._file.edit_overlay(section, key, change, self._check, partial(self._edited, who))

    def _edited(self, who: str, found: _Checked) -> None:
        waits = self._file.accepted(who)
        self._enforce(self._found if waits else found, who, waits)

    def section(self, name: str) -> Any:
        """Return the validated section of this name, with its defaults where the files say nothing."""
        return self._found.sections[name]

    def of(self, plugin: str) -> Mapping[str, Any]:
        """Return the sections that a plugin owns; each is what it is when it is looked up."""
        return _Live(self, [name for name, whose in self.sections.owners().items() if whose == plugin])

    def profile(self, name: str) -> tuple[Profile, Driver]:
        """Return a profile and its driver; every provider is also a profile of its own name, with its defaults."""
        name = name or self.default_agent
        if why := self.unusable.get(name):
            raise NotFound(why)
        found = self.profiles.get(name)
        if found and (driver := self._drivers.get(found.provider)):  # the usual case
            return found, driver
        providers = by_every_name(self._drivers)
        if found is None and name in providers:
            found = providers[name].settings(provider=providers[name].name)
        if found is None:
            what = f"there is no profile {name!r}" if name else "no profile is named, and there is no `default_agent`"
            raise NotFound(f"{what} (profiles: {listed(self.names())}).{nearest(name, self.names())}")
        if found.provider not in providers:  # its plugin has just left
            raise NotFound(f"the profile {name!r} cannot be used: there is no provider {found.provider!r} any more")
        return found, providers[found.provider]

    def names(self) -> list[str]:
        """Return the names of all profiles, the providers' own among them."""
        return sorted({*self.profiles, *(d.name for d in self._drivers.values())})

    @property
    def default_agent(self) -> str:
        """The profile of a new agent when none is named: as configured, else the first of the file, else empty."""
        return self._found.default or next(iter(self.profiles), "")

    def _check(self, document: Document, plain: dict[str, Any]) -> _Checked:
        found = _Checked(document, plain, {}, {}, {}, str(plain.get("default_agent") or ""), [])
        plugins = plain.get("plugins") or {}
        if not isinstance(plugins, dict):
            self._fail(document, ["plugins"], "`plugins:` must be a mapping of plugins and their settings")
        if not isinstance(plugins.get("disabled") or [], list):
            self._fail(document, ["plugins", "disabled"], "`disabled:` must be a list of plugins")
        owned = {"default_agent", "agents", "plugins", *(s.split(".")[0] for s in self.sections)}
        named = {"disabled", *(s.split(".")[1] for s in self.sections if s.startswith("plugins."))}
        for name in (n for n, value in plain.items() if n not in owned and value is not None):
            self._remark(found, [name], f"no plugin here owns this section.{nearest(name, owned)}")
        for name in plugins.keys() - named:
            self._remark(found, ["plugins", name], f"no plugin here takes these settings.{nearest(name, named)}")
        for name, model in self.sections.items():
            value = plugins.get(name.split(".")[1]) if "." in name else self._entries(document, plain, name)
            adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
            found.sections[name] = self._validate(document, name.split("."), adapter, {} if value is None else value)
        providers = by_every_name(self._drivers)
        for name, body in (self._entries(document, plain, "agents") or {}).items():
            self._profile(found, name, body, providers)
        known = {*found.profiles, *found.unusable, *providers}
        wanted = [(["agents", name, "spawns"], other) for name, p in found.profiles.items() for other in p.spawns or ()]
        for where, other in [*wanted, (["default_agent"], found.default)] if found.default else wanted:
            if other not in known:
                self._remark(found, where, f"there is no profile {other!r}.{nearest(other, known)}")
        return found

    def _entries(self, document: Document, plain: dict[str, Any], name: str) -> Any:
        """Return a section's value, its overlays merged in."""
        value = plain.get(name)
        overlays = self._file.overlays(name)
        if (overlays or name == "agents") and not isinstance(value or {}, dict):
            self._fail(document, [name], f"`{name}:` must be a mapping of names")
        for file in overlays:
            if (key := file.path.stem) in (value or {}):
                raise ConfigError(f"{file.path}: {name}.{key} is also in {self._file.path}; keep one of the two")
            value = {**(value or {}), key: file.load()[1]}
        return value

    def _profile(self, found: _Checked, name: str, body: Any, providers: Mapping[str, Driver]) -> None:
        if not isinstance(body, dict):
            self._fail(found.document, ["agents", name], "an agent is a mapping with at least `provider:`")
        provider = str(body.get("harness", "") or body.get("provider", ""))
        if driver := providers.get(provider):
            body = {k: v for k, v in body.items() if k != "harness"} | {"provider": driver.name}
            adapter: TypeAdapter[Profile] = TypeAdapter(driver.settings)
            found.profiles[name] = self._validate(found.document, ["agents", name], adapter, body)
            return
        if not provider:
            self._fail(found.document, ["agents", name, "provider"], "`provider:` is missing")
        why = f"there is no provider {provider!r} (installed: {listed(providers)}).{nearest(provider, providers)}"
        found.unusable[name] = f"the profile {name!r} cannot be used: {why}"
        self._remark(found, ["agents", name, "provider"], why)

    def _validate(self, document: Document, where: Sequence[str], model: TypeAdapter[Any], value: Any) -> Any:
        try:
            return model.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            at = [*where, *first["loc"]]
            what = complaint(first, self._file.written(document, at))
            if first["type"] == "extra_forbidden":
                known = keys_at(model.json_schema(), first["loc"][:-1])
                what = f"there is no setting {at[-1]!r} here (there are: {listed(known)}).{nearest(str(at[-1]), known)}"
            self._fail(document, at, what)

    def _fail(self, document: Document, where: Sequence[str | int], what: str) -> NoReturn:
        raise ConfigError(self._said(document, where, what))

    def _remark(self, found: _Checked, where: Sequence[str | int], what: str) -> None:
        found.remarks.append(f"{self._said(found.document, where, what)} It has no effect.")

    def _said(self, document: Document, where: Sequence[str | int], what: str) -> str:
        key = ".".join(map(str, where))
        overlay = self.root / ".aegis" / str(where[0]) / f"{where[1:2] and where[1]}.yaml"
        place = str(overlay) if overlay.exists() else f"{self._file.path}:{self._file.line(document, where)}"
        return f"{place}: {key}: {what}"
