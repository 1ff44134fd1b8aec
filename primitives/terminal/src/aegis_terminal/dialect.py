"""How each shell is started so that it says where a command begins and ends, and how it is handed one."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from aegis import Refused

PIPE = "run"
# What is typed stands at the top level, since `declare` makes locals in a function; bash forgets to expand an alias
# after a syntax error in it. `&&:` keeps `$?` and pleases `set -e`.
_GO = b" __aegis_go\n"
_LINES = {
    "bash": b' __aegis_in&&:;eval "{ __aegis_c&&:;} 2>/dev/null;$__aegis_cmd";__aegis_out&&:\n',
    "fish": b" __aegis_in; eval $__aegis_cmd; __aegis_out\n",
}
_UNFIT = frozenset({"csh", "tcsh", "nu", "xonsh", "elvish", "pwsh", "python", "python3"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """A shell as it is to be started: its command, and variables in addition."""

    kind: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> bytes:
        """What is typed to run the command that waits in the pipe."""
        return _LINES.get(self.kind, _GO)

    def packet(self, key: str, command: str = "") -> bytes:
        """Return what goes through the pipe: a fresh key, and the command it is for (none at the start)."""
        if self.kind == "posix":  # its `read` knows lines only
            text = f"{key}\n{command}\n{key}\n" if command else f"{key}\n"
        elif self.kind == "fish":  # its `read` drops what else is there
            text = f"{key}{command}\n\0" if command else f"{key}\0"
        else:
            text = f"{key}\0{command}\n\0" if command else f"{key}\0"
        return text.encode()


def dialect(shell: str, place: Path, environment: Mapping[str, str]) -> Dialect:
    """Write what the shell is to read first into the folder and return how to start it; raises `Refused`."""
    path = shutil.which(shell, path=environment.get("PATH"))
    if path is None:
        raise Refused(f"there is no shell {shell!r} on PATH; name another one, such as /bin/bash")
    name = Path(path).name
    if name in _UNFIT:
        raise Refused(f"{name} cannot be driven: its language is another; use bash, zsh, fish or a POSIX shell")
    match name:
        case "bash":
            rc = _written(place / "bashrc", "bash", place, '[ -r "$HOME/.bashrc" ] && . "$HOME/.bashrc"\n')
            return Dialect("bash", [path, "--rcfile", str(rc), "-i"])
        case "zsh":
            _zsh(place, environment.get("ZDOTDIR", ""))
            return Dialect("zsh", [path, "-i"], {"ZDOTDIR": str(place)})
        case "fish":
            init = _written(place / "init.fish", "fish", place)
            return Dialect("fish", [path, "-i", "-C", f"source {shlex.quote(str(init))}"])
    own = environment.get("ENV", "")
    init = _written(
        place / "init.sh", "posix", place, f"[ -r {shlex.quote(own)} ] && . {shlex.quote(own)}\n" * bool(own)
    )
    return Dialect("posix", [path, "-i"], {"ENV": str(init)})


def _written(path: Path, kind: str, place: Path, before: str = "") -> Path:
    text = files("aegis_terminal").joinpath("shells", kind).read_text()
    path.write_text(before + text.replace("@PIPE@", shlex.quote(str(place / PIPE))))
    return path


def _zsh(place: Path, own: str) -> None:
    """Make a ZDOTDIR whose files read the user's own, which may move it, and end with ours."""
    user, ours = shlex.quote(own) if own else "$HOME", shlex.quote(str(place))
    back = f"ZDOTDIR={shlex.quote(own)}" if own else "unset ZDOTDIR"
    (place / ".zshenv").write_text(
        f"{back}\n[[ -r {user}/.zshenv ]] && source {user}/.zshenv\n"
        f"typeset -g __aegis_dot=${{ZDOTDIR-}} __aegis_set=${{+ZDOTDIR}}\nZDOTDIR={ours}\n"
    )
    before = (
        f"[[ ${{HISTFILE-}} == {ours}/* ]] && HISTFILE=${{__aegis_dot:-$HOME}}/${{HISTFILE:t}}\n"
        "if (( __aegis_set )); then ZDOTDIR=$__aegis_dot; else unset ZDOTDIR; fi\n"
        "[[ -r ${ZDOTDIR:-$HOME}/.zshrc ]] && source ${ZDOTDIR:-$HOME}/.zshrc\n"
        "unset __aegis_dot __aegis_set\n"
    )
    _written(place / ".zshrc", "zsh", place, before)
