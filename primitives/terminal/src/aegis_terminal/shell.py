"""How each kind of shell is started so that it marks where a command begins and ends, and how it gets a command."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from aegis import Refused

PIPE = "run"
# The typed line is at the top level, since `declare` makes local variables in a function; bash does not expand an alias
# after a syntax error in it. `&&:` keeps `$?` and does not end a shell with `set -e`.
_GO = b" __aegis_go\n"
_LINES = {
    "bash": b' __aegis_in&&:;eval "{ __aegis_c&&:;} 2>/dev/null;$__aegis_cmd";__aegis_out&&:\n',
    "fish": b" __aegis_in; eval $__aegis_cmd; __aegis_out\n",
}
_UNFIT = frozenset({"csh", "tcsh", "nu", "xonsh", "elvish", "pwsh", "python", "python3"})


@dataclass(frozen=True, slots=True)
class Shell:
    """How a shell is started: its command, and variables in addition."""

    kind: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> bytes:
        """The line that is typed to run the command that waits in the pipe."""
        return _LINES.get(self.kind, _GO)

    def packet(self, key: str, command: str = "") -> bytes:
        """Return what is sent through the pipe: a new key and the command it belongs to (none at the start)."""
        if self.kind == "posix":  # its `read` knows lines only
            text = f"{key}\n{command}\n{key}\n" if command else f"{key}\n"
        elif self.kind == "fish":  # its `read` drops what else is there
            text = f"{key}{command}\n\0" if command else f"{key}\0"
        else:
            text = f"{key}\0{command}\n\0" if command else f"{key}\0"
        return text.encode()


def prepared_shell(shell: str, folder: Path, environment: Mapping[str, str]) -> Shell:
    """Write the shell's start-up file into the folder and return how to start the shell; raises `Refused`."""
    path = shutil.which(shell, path=environment.get("PATH"))
    if path is None:
        raise Refused(f"there is no shell {shell!r} on PATH; name another one, such as /bin/bash")
    name = Path(path).name
    if name in _UNFIT:
        raise Refused(f"{name} is not supported; use bash, zsh, fish or a POSIX shell")
    match name:
        case "bash":
            rc = _written(folder / "bashrc", "bash", folder, '[ -r "$HOME/.bashrc" ] && . "$HOME/.bashrc"\n')
            return Shell("bash", [path, "--rcfile", str(rc), "-i"])
        case "zsh":
            _zsh(folder, environment.get("ZDOTDIR", ""))
            return Shell("zsh", [path, "-i"], {"ZDOTDIR": str(folder)})
        case "fish":
            init = _written(folder / "init.fish", "fish", folder)
            return Shell("fish", [path, "-i", "-C", f"source {shlex.quote(str(init))}"])
    own = environment.get("ENV", "")
    init = _written(
        folder / "init.sh", "posix", folder, f"[ -r {shlex.quote(own)} ] && . {shlex.quote(own)}\n" * bool(own)
    )
    return Shell("posix", [path, "-i"], {"ENV": str(init)})


def _written(path: Path, kind: str, folder: Path, before: str = "") -> Path:
    text = files("aegis_terminal").joinpath("shells", kind).read_text(encoding="utf-8")
    text = before + text.replace("@PIPE@", shlex.quote(str(folder / PIPE)))
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return path


def _zsh(folder: Path, own: str) -> None:
    """Make a ZDOTDIR whose files read the user's own files, and then ours."""
    user, ours = shlex.quote(own) if own else "$HOME", shlex.quote(str(folder))
    back = f"ZDOTDIR={shlex.quote(own)}" if own else "unset ZDOTDIR"
    (folder / ".zshenv").write_text(
        f"{back}\n[[ -r {user}/.zshenv ]] && source {user}/.zshenv\n"
        f"typeset -g __aegis_dot=${{ZDOTDIR-}} __aegis_set=${{+ZDOTDIR}}\nZDOTDIR={ours}\n",
        encoding="utf-8",
        errors="surrogateescape",
    )
    before = (
        f"[[ ${{HISTFILE-}} == {ours}/* ]] && HISTFILE=${{__aegis_dot:-$HOME}}/${{HISTFILE:t}}\n"
        "if (( __aegis_set )); then ZDOTDIR=$__aegis_dot; else unset ZDOTDIR; fi\n"
        "[[ -r ${ZDOTDIR:-$HOME}/.zshrc ]] && source ${ZDOTDIR:-$HOME}/.zshrc\n"
        "unset __aegis_dot __aegis_set\n"
    )
    _written(folder / ".zshrc", "zsh", folder, before)
