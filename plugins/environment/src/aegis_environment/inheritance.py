"""Which of aegis's own variables a CLI gets: what programs and its provider need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Any

from aegis import Kernel, Profile
from aegis.driver import by_every_name, info_of
from aegis_environment.settings import EnvironmentSettings

USUAL: tuple[str, ...] = (
    # who and where
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "HOSTNAME", "LANG", "LANGUAGE", "LC_*", "TERM", "TERMINFO",
    "COLORTERM", "NO_COLOR", "TMPDIR", "TZ", "XDG_*", "EDITOR", "VISUAL", "PAGER", "DISPLAY", "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS", "CI",
    # keys that stay with an agent of their own, and git
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GNUPGHOME", "GIT_AUTHOR_*", "GIT_COMMITTER_*", "GIT_SSH", "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    # the network
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
    # what people build with
    "VIRTUAL_ENV", "CONDA_*", "PYENV_*", "PYTHONPATH", "PIP_*", "PIPX_*", "UV_*", "POETRY_*", "NVM_*", "NODE_*",
    "FNM_*", "VOLTA_HOME", "PNPM_HOME", "BUN_INSTALL", "DENO_DIR", "JAVA_HOME", "JDK_HOME", "GRADLE_USER_HOME",
    "M2_HOME", "MAVEN_HOME", "MAVEN_OPTS", "KOTLIN_HOME", "SDKMAN_*", "ANDROID_HOME", "ANDROID_SDK_ROOT", "GOPATH",
    "GOROOT", "GOBIN", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN", "CARGO_HOME", "RUSTUP_*",
    "RUSTFLAGS", "RBENV_*", "RVM_*", "GEM_HOME", "GEM_PATH", "BUNDLE_PATH", "DOTNET_ROOT", "NIX_*", "GUIX_*",
    "HOMEBREW_*", "ASDF_*", "MISE_*", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH",
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MAKEFLAGS", "DOCKER_HOST",
)  # fmt: skip
_SECRET = re.compile(r"key|token|secret|passw|credential|auth(?!or|_sock)", re.IGNORECASE)


def inherited(ours: Mapping[str, str], terms: EnvironmentSettings, own: Iterable[str] = ()) -> dict[str, str]:
    """Return what a CLI gets of our variables: the usual, what the section adds, and what is its provider's `own`."""
    usual, wanted, drop = _any(USUAL), _any((*terms.inherit, *own)), _any(tuple(terms.drop))
    names = {n for n in ours if usual(n) and (n in USUAL or not _SECRET.search(n))} | set(filter(wanted, ours))
    return {name: value for name, value in ours.items() if name in names and not drop(name)}


@lru_cache(maxsize=64)
def _any(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what says whether one of the patterns is the name's; made once, as every agent's start asks it."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)").match


class Inheritance:
    """What CLIs get by the section as it is now; all of them, where variables were made for CLIs."""

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings = kernel, settings
        self.ours = kernel.environment
        self._known: dict[tuple[str, ...], dict[str, str]] = {}  # what is passed on, by a provider's own
        self._terms: EnvironmentSettings | None = None  # as they were for what is known

    def shared(self) -> dict[str, str]:
        """Return what every CLI gets."""
        return self._passed(())

    def of(self, profile: Profile) -> dict[str, str]:
        """Return what the CLI of the profile gets."""
        driver = by_every_name(self._kernel.drivers).get(profile.provider)
        return self._passed(info_of(driver).environment if driver else ())

    def by_provider(self) -> dict[str, set[str]]:
        """Return the names that the CLI of only that provider gets."""
        shared = self.shared().keys()
        gets = {name: self._passed(info_of(driver).environment) for name, driver in self._kernel.drivers.items()}
        return {name: own for name, passed in gets.items() if (own := passed.keys() - shared)}

    def _passed(self, own: Iterable[str]) -> dict[str, str]:
        if self.ours.exact:
            return dict(self.ours)
        terms, own = self._settings["environment"], tuple(own)
        if terms is not self._terms:  # the configuration has changed; our own variables never do
            self._terms, self._known = terms, {}
        if own not in self._known:
            self._known[own] = inherited(self.ours, terms, own)
        return dict(self._known[own])
