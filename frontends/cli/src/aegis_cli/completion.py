"""Completion: the scripts for the shells, and the answers to what they ask while a person types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aegis.errors import AegisError
from aegis.project import Project
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.dynamic_options import flags_of, with_dynamic_options
from aegis_cli.shell import COMMANDS, Shell, find_verb, known_verbs, own_parser

_LIMIT = 0.3  # seconds a person does not notice
_FOLDER = ("-C", "--project", "--cwd")
_PROFILE = ("-a", "--agent")
_COMMON = {"--json": "print one JSON object", "--project": "the project's folder", "--help": "say how it is used"}
_OWN: dict[str, dict[str, Any]] = {  # what the commands that are no verbs take
    "serve": {"flags": {"--clean": "close the agents of the last time first"}},
    "events": {"flags": {"--follow": "from now on"}, "positional": "handle"},
    "demo": {"flags": {"--plain": "print the transcript and end", "--keep": "keep the folder"}},
    "completion": {"words": ("bash", "zsh", "fish")},
}
SCRIPTS = {
    "bash": """\
_aegis() {
    local IFS=$'\\n'
    COMPREPLY=($(aegis __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o nosort -F _aegis aegis 2>/dev/null || complete -F _aegis aegis
""",
    "zsh": """\
#compdef aegis
_aegis() {
    local -a found
    found=("${(@f)$(aegis __complete "${(@)words[2,CURRENT]}" 2>/dev/null | sed -e 's/:/\\\\:/g' -e 's/\\t/:/')}")
    [[ -n "${found[*]}" ]] && _describe aegis found
}
compdef _aegis aegis
""",
    "fish": """\
complete -c aegis -f -a '(aegis __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
""",
}


def run(shell: Shell, words: Sequence[str]) -> int:
    """Print the script of a shell."""
    parser = own_parser("completion", epilog='For bash: eval "$(aegis completion bash)" in ~/.bashrc.')
    parser.add_argument("shell", choices=SCRIPTS, metavar="{" + ",".join(SCRIPTS) + "}")
    given = vars(parser.parse_args(words))
    shell.with_options(given).show(SCRIPTS[given["shell"]].rstrip())
    return 0


def complete(shell: Shell, words: Sequence[str]) -> int:
    """Print what the last word may become, a value and what it means in each line."""
    for value, meaning in Completion(shell, words).candidates():
        print(f"{value}\t{meaning}" if meaning else value)
    return 0


class Completion:
    """What may stand where the person is typing."""

    def __init__(self, shell: Shell, words: Sequence[str]) -> None:
        """Complete the last of `words`, which are what follows `aegis` on the line."""
        *before, self.current = words or [""]
        self._folder, self._before, self._pending = shell.folder, list(before), ""
        self._strip()

    def _strip(self) -> None:
        """Take the options off the front of the line."""
        while self._before and self._before[0].startswith("-"):
            option = self._before.pop(0)
            if option in (*_FOLDER, *_PROFILE):
                if not self._before:
                    self._pending = option
                elif (value := self._before.pop(0)) and option in _FOLDER:
                    self._folder = value

    @property
    def _project(self) -> Project:
        return Shell(self._folder).project

    def candidates(self) -> list[tuple[str, str]]:
        """Return (value, meaning) of everything that fits what is typed so far."""
        return [(value, meaning) for value, meaning in self._all() if value.startswith(self.current)]

    def _all(self) -> Iterator[tuple[str, str]]:
        if self._pending in _PROFILE:
            yield from self._live("profile")
            return
        if self._pending or (self._before and self._before[-1] in _FOLDER):
            yield from _folders(self.current)
            return
        if self._before[:1] == ["help"]:
            self._before = self._before[1:]
            if not self._before:
                yield "--all", "list every command"
            yield from self._commands(known_verbs(self._project, _LIMIT))
            return
        for length in (2, 1):
            if (name := " ".join(self._before[:length])) in COMMANDS and len(self._before) >= length:
                yield from self._own(_OWN.get(name, {}), self._before[length:])
                return
        verbs = known_verbs(self._project, _LIMIT)
        verb, rest = find_verb(verbs, self._before)
        if verb:
            yield from self._arguments(with_dynamic_options(verb, rest, self._ask), list(rest))
        else:
            yield from self._commands(verbs)

    def _commands(self, verbs: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        depth = len(self._before)
        if depth == 0 and self.current.startswith("-"):
            yield from {
                **_COMMON,
                "--agent": "spawn an agent of this profile",
                "--version": "print the version",
            }.items()
        names = {v["name"]: v["help"] for v in verbs} | {n: text for n, (_, text) in COMMANDS.items() if text}
        seen: set[str] = set()
        for name, text in sorted(names.items()):
            words = name.split()
            if words[:depth] == self._before and len(words) > depth and words[depth] not in seen:
                seen.add(words[depth])
                yield words[depth], text if len(words) == depth + 1 else ""

    def _own(self, takes: dict[str, Any], rest: list[str]) -> Iterator[tuple[str, str]]:
        if self.current.startswith("-"):
            yield from {**takes.get("flags", {}), **_COMMON}.items()
        elif not [word for word in rest if not word.startswith("-")]:
            yield from ((word, "") for word in takes.get("words", ()))
            yield from self._live(takes["positional"]) if "positional" in takes else ()

    def _arguments(self, verb: dict[str, Any], rest: list[str]) -> Iterator[tuple[str, str]]:
        properties: dict[str, Any] = verb["schema"].get("properties", {})
        flags = {flag: n for n in properties if n not in verb["positional"] for flag in flags_of(n)}
        given = 0
        while rest:
            word = rest.pop(0)
            name = flags.get(word, "")
            if name and properties[name].get("type") != "boolean":
                if not rest:
                    yield from self._values(verb, name)
                    return
                rest.pop(0)
            given += not word.startswith("-")
        if self.current.startswith("-"):
            yield from ((flag, properties[name].get("description", "")) for flag, name in flags.items())
            yield from _COMMON.items()
        elif given < len(verb["positional"]):
            yield from self._values(verb, verb["positional"][given])

    def _values(self, verb: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
        yield from ((str(value), "") for value in verb["schema"]["properties"][name].get("enum", ()))
        if what := verb["completes"].get(name):
            yield from self._live(what)

    def _ask(self, verb: str, args: dict[str, Any]) -> Any:
        with BlockingClient(self._project, limit=_LIMIT) as kernel:
            return kernel.perform(verb, args)[0]

    def _live(self, what: str) -> Iterator[tuple[str, str]]:
        """Yield what the running kernel knows now; nothing when none runs or it is slow."""
        try:
            with BlockingClient(self._project, limit=_LIMIT) as kernel:
                yield from [(str(value), "") for value in kernel.ask("complete", what=what)]
        except AegisError:
            return


def _folders(typed: str) -> Iterator[tuple[str, str]]:
    head, _, _ = typed.rpartition("/")
    base = Path(f"{head}/" if typed.startswith("/") or head else ".")
    try:
        folders = sorted(p for p in base.iterdir() if p.is_dir())
    except OSError:
        return
    yield from ((f"{head}/{p.name}" if "/" in typed else p.name, "") for p in folders)
