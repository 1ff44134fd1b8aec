"""What a configuration names and nothing answers to: no error, since plugins and their verbs come and go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from aegis import Profile
from aegis.errors import nearest
from aegis.plugins import disabled_in
from aegis.project import Project


def config_warnings(
    project: Project, profiles: Mapping[str, Profile], plugins: Collection[str], verbs: Collection[str]
) -> Iterable[str]:
    """Yield one for each pattern of a profile that matches no verb, and each disabled plugin that is not here."""
    families = {f"{name.split()[0]} *" for name in verbs if " " in name}
    for name, profile in profiles.items():
        for pattern in profile.verbs or ():
            if verbs and not any(fnmatchcase(verb, pattern) for verb in verbs):
                yield f"agents.{name}.verbs: no verb here matches {pattern!r}.{nearest(pattern, {*verbs, *families})}"
    for plugin in sorted(disabled_in(project.root)):
        if plugin not in plugins:
            yield f"plugins.disabled: no plugin {plugin!r} is installed.{nearest(plugin, plugins)}"
