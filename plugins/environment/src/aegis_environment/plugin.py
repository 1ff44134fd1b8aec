"""What aegis-environment offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `environment`."""
    from aegis_environment.settings import EnvironmentSettings  # noqa: PLC0415 - entry modules stay light

    return {"environment": EnvironmentSettings}


@hookimpl
def aegis_hookspecs() -> object:
    """Publish `aegis_secret_sources`."""
    from aegis_environment import hookspecs  # noqa: PLC0415 - the same

    return hookspecs


@hookimpl
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Give each CLI its variables and the secrets of its profile, before it starts."""
    from aegis import Registry  # noqa: PLC0415 - the same
    from aegis_environment.folders import SeatFolders  # noqa: PLC0415
    from aegis_environment.inheritance import Inheritance  # noqa: PLC0415
    from aegis_environment.interceptor import Provide  # noqa: PLC0415
    from aegis_environment.secrets import Secrets, SecretSource  # noqa: PLC0415

    sources: Registry[SecretSource] = Registry("secret source")
    kernel.plugins.collect("aegis_secret_sources", sources)
    kernel.supervisor.start("environment.folders", (folders := SeatFolders()).run)
    return [Provide(Inheritance(kernel, settings), Secrets(kernel.environment, kernel.redactor, sources), folders)]


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer the verb that says what CLIs get."""
    from aegis_environment.inheritance import Inheritance  # noqa: PLC0415 - the same
    from aegis_environment.verbs import EnvironmentVerbs  # noqa: PLC0415

    return [EnvironmentVerbs(Inheritance(kernel, settings))]
