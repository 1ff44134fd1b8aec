"""Which of its own variables aegis passes on to the CLIs it starts: what programs and their provider need."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

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


class Inheritance(BaseModel):
    """The section `environment:`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inherit: list[str] = Field([], description="more variables of yours that every CLI gets; `*` stands for anything")
    drop: list[str] = Field([], description="variables that no CLI gets, come what may; `*` stands for anything")


class Environment(dict[str, str]):
    """The variables of aegis itself; an `exact` one was made for the CLIs and is passed on whole."""

    exact = False

    @classmethod
    def of(cls, given: Mapping[str, str] | None) -> Environment:
        """Return exactly those given, else those of this process."""
        made = cls(os.environ if given is None else given)
        made.exact = given is not None
        return made

    def passed(self, terms: Inheritance, own: Iterable[str] = ()) -> dict[str, str]:
        """Return what a CLI gets: the usual, what the section adds, and what is its provider's `own`."""
        if self.exact:
            return dict(self)
        wanted = (*terms.inherit, *own)
        usual = [n for n in self if _any(USUAL, n) and (n in USUAL or not _SECRET.search(n))]
        names = {*usual, *(n for n in self if _any(wanted, n))}
        return {name: value for name, value in self.items() if name in names and not _any(terms.drop, name)}


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
