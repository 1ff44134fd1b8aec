"""One command line: find out what it asks, do that, say how it went."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from aegis.errors import AegisError, ConfigError
from aegis.project import Project
from aegis_cli import render
from aegis_cli.arguments import Parser, common, utf8_words, verb_arguments
from aegis_cli.blocking_client import BlockingClient, NotRunning
from aegis_cli.dynamic_options import with_dynamic_options
from aegis_cli.index import Index
from aegis_cli.socket_path import find_project_root
from aegis_printable.printable import printable

INTERRUPTED = 130
# The one verb whose work is done by another program, at the person's own terminal: which program is no answer's to say.
ATTACH, _ATTACH_PROGRAM = "term attach", "aegis_terminal.attach"
# What `aegis_cli.main` says where it began again in UTF-8: the encoding of the screen is another one there.
_SCREEN: Any = sys._xoptions.get("screen")  # noqa: SLF001 - that is how Python hands on what `-X` says
# Commands that are no verbs: where each is, what it does. Their modules are imported when they are asked for.
COMMANDS = {
    "serve": ("aegis_cli.serve", "Run the project's kernel without a screen."),
    "stop": ("aegis_cli.stop", "Stop the project's kernel."),
    "events": ("aegis_cli.events", "Show what agents read, did and said lately; with --follow, from now on."),
    "help": ("aegis_cli.help", "Show the commands of a group, or how one command is used."),
    "trust": ("aegis_cli.trust", "Show what this project would run, and say whether you trust it."),
    "doctor": ("aegis_cli.doctor", "Say what is installed, where things are, and what is broken."),
    "ledger accept": (
        "aegis_cli.ledger_accept",
        "Go on with a ledger that was found empty, foreign or older than it was; nothing is deleted.",
    ),
    "plugin list": ("aegis_cli.doctor:plugins", "List the installed plugins."),
    "demo": ("aegis_cli.demo", "Watch three scripted agents hand work to one another, and type to them."),
    "completion": ("aegis_cli.completion", "Print the completion script of bash, zsh or fish."),
    "__complete": ("aegis_cli.completion:complete", ""),
}


class Shell(NamedTuple):
    """One invocation: whose project, in what form the answer is wanted."""

    folder: str = ""
    json: bool = False

    @property
    def project(self) -> Project:
        """The project meant; raises `ConfigError` when there is no such folder."""
        start = Path(self.folder or ".")
        if not start.is_dir():
            raise ConfigError(f"there is no folder {self.folder!r}")
        try:
            return Project(find_project_root(start))
        except FileNotFoundError:
            raise ConfigError("the folder that you are in is not there any more; go to another one (`cd`)") from None

    def with_options(self, options: dict[str, Any]) -> Shell:
        """Return the shell with what the rest of the line said in addition."""
        return Shell(options.get("_project", self.folder), options.get("_json", self.json))

    def show(self, value: Any, text: str | None = None) -> None:
        """Print a value in the form that is wanted."""
        said = text if text is not None else render.as_text(value, render.width_of(sys.stdout))
        said = render.as_json(value) if self.json else printable(said)
        if said or sys.stdout.isatty():
            print(said or "none", flush=True)

    def show_error(self, error: AegisError) -> int:
        """Say in one sentence what went wrong and return the exit code."""
        if self.json:
            print(render.error_json(error))
        else:
            print(f"aegis: {printable(str(error))}", file=sys.stderr)
        return error.exit_code


def run(words: Sequence[str]) -> int:
    """Do what the words say and return the exit code."""
    shell = Shell(json="--json" in words)  # until the line is understood: so that a mistake in it is JSON too
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a screen that lacks a character shows a substitute
            stream.reconfigure(encoding=_SCREEN, errors="replace")
    try:
        try:
            return _dispatch(utf8_words(words))
        finally:
            sys.stdout.flush()  # here, where it is caught that nobody reads any more
    except AegisError as error:
        return shell.show_error(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(words: Sequence[str]) -> int:
    given = vars(_parser().parse_args(words))
    shell = Shell().with_options(given)
    rest: list[str] = given.get("words", [])
    if given.get("_version"):
        return import_module("aegis_cli.main").main(["--version"])  # type: ignore[no-any-return]
    if given.get("_help") or given.get("_all"):
        return int(import_module("aegis_cli.help").run(shell, [*(["--all"] if given.get("_all") else []), *rest]))
    if not rest:
        console = import_module("aegis_cli.console")  # start-up time
        options = {"clean": given.get("_clean", False), "trust": given.get("_trust", False)}
        return int(console.run(shell, given.get("_agent", ""), **options))
    for length in (2, 1):
        if found := COMMANDS.get(" ".join(rest[:length])):
            module, _, function = found[0].partition(":")
            return int(getattr(import_module(module), function or "run")(shell, rest[length:]))
    return _verb(shell, rest)


def _parser() -> Parser:
    parser = Parser("aegis", add_help=False)
    common(parser)
    parser.add_argument("-h", "--help", dest="_help", action="store_true")
    parser.add_argument("--all", dest="_all", action="store_true")
    parser.add_argument("--version", dest="_version", action="store_true")
    parser.add_argument("-a", "--agent", dest="_agent", metavar="PROFILE")
    parser.add_argument("--clean", dest="_clean", action="store_true")
    parser.add_argument("--trust", dest="_trust", action="store_true")
    parser.add_argument("words", nargs="...")
    return parser


def own_parser(name: str, **more: Any) -> Parser:
    """Return the parser of a command that is no verb, with the options every command has."""
    parser = Parser(f"aegis {name}", description=COMMANDS[name][1], **more)
    common(parser)
    return parser


def known_verbs(project: Project, limit: float = 1.0) -> list[dict[str, Any]]:
    """Return the verbs of the running kernel, or, when none runs, of what is installed."""
    try:
        with BlockingClient(project, limit=limit) as kernel:
            verbs: list[dict[str, Any]] = kernel.ask("verbs")
            return verbs
    except AegisError:
        installed: list[dict[str, Any]] = installed_index().load()["verbs"]
        return installed


def installed_index() -> Index:
    """Return the index of what is installed."""
    return Index(
        lambda: import_module("aegis_cli.build_index").build()
    )  # only a stale index needs the kernel's imports


def find_verb(verbs: Sequence[dict[str, Any]], words: Sequence[str]) -> tuple[dict[str, Any] | None, Sequence[str]]:
    """Return the verb the line begins with, the longest name first, and the rest of the line."""
    named = {v["name"]: v for v in verbs}
    for length in (2, 1):
        if len(words) >= length and (found := named.get(" ".join(words[:length]))):
            return found, words[length:]
    return None, words


def _verb(shell: Shell, words: Sequence[str]) -> int:
    project, missing = shell.project, None
    try:
        with BlockingClient(project) as kernel:
            verb, rest = find_verb(verbs := kernel.ask("verbs"), words)
            if verb is None:
                if known := find_verb(installed_index().load()["verbs"], words)[0]:
                    import_module("aegis_cli.absent").explain(kernel, known)
                return int(import_module("aegis_cli.help").group(words, verbs))
            args, options = verb_arguments(with_dynamic_options(verb, rest, lambda v, a: kernel.perform(v, a)[0]), rest)
            shell = shell.with_options(options)
            if shell.project == project:
                return _call(shell, kernel, verb, args)
    except NotRunning as error:
        missing = error
    verb, rest = find_verb(verbs := installed_index().load()["verbs"], words)
    if verb is None:
        return int(import_module("aegis_cli.help").group(words, verbs))
    args, options = verb_arguments(with_dynamic_options(verb, rest, None), rest)
    shell = shell.with_options(options)
    if missing and shell.project == project:
        raise missing
    with BlockingClient(shell.project) as kernel:
        args, _ = verb_arguments(with_dynamic_options(verb, rest, lambda v, a: kernel.perform(v, a)[0]), rest)
        return _call(shell, kernel, verb, args)


def _call(shell: Shell, kernel: BlockingClient, verb: dict[str, Any], args: dict[str, Any]) -> int:
    def report(text: str) -> None:
        if (sys.stderr.isatty() or args.get("follow")) and not shell.json:
            print(render.styled(printable(text), "2", sys.stderr), file=sys.stderr)

    value, text = kernel.perform(verb["name"], args, report)
    if kernel.warning:
        print(f"aegis: {printable(kernel.warning)}", file=sys.stderr)
    if verb["name"] == ATTACH and not shell.json and sys.stdin.isatty() and sys.stdout.isatty():
        _become(
            [sys.executable, "-Pm", _ATTACH_PROGRAM, "-C", str(shell.project.root), "--", str(args.get("name", ""))]
        )
    shell.show(value, text)
    return kernel.exit_code


def _become(argv: Sequence[str]) -> NoReturn:
    """Go on as the command in which a verb's work is done at the person's own terminal."""
    sys.stdout.flush()
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        raise AegisError(f"cannot start {argv[0]}: {error.strerror}") from None


__all__ = ["Shell", "find_verb", "known_verbs", "own_parser", "run"]
