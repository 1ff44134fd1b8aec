"""What could be typed next, from the verbs' own descriptions: a newly installed primitive completes at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from aegis_repl.parse import LOCAL, words

MENTION = "handle"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the word under the cursor may become: these choices, and the values the kernel has for `values`."""

    prefix: str
    choices: tuple[tuple[str, str], ...] = ()  # word, what it is
    values: str = ""
    lead: str = ""  # stands before each value


def wanted(text: str, verbs: Sequence[Mapping[str, Any]]) -> Wanted | None:
    """Return what may follow the text before the cursor, None when it is no command: pure."""
    if text.startswith("@") and not any(c.isspace() for c in text):
        return Wanted(text, values=MENTION, lead="@")
    if not text.startswith("/") or text.startswith("//"):
        return None
    line = text[1:]
    named = max((v for v in verbs if line.startswith(v["name"] + " ")), key=lambda v: len(v["name"]), default=None)
    if named is None and line.startswith("tab "):
        return Wanted(line[4:], values=MENTION)
    if named is None and line.startswith("help "):
        return Wanted(line[5:], tuple((v["name"], v["help"]) for v in verbs))
    if named is None:
        return Wanted(text, tuple(_commands(verbs)))
    return _argument(line[len(named["name"]) + 1 :], named)


def _commands(verbs: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    ours = {name: doc.partition("  ")[2] or doc for name, doc in LOCAL.items()}
    return ((f"/{name}", doc) for name, doc in sorted((ours | {v["name"]: v["help"] for v in verbs}).items()))


def _argument(rest: str, verb: Mapping[str, Any]) -> Wanted:
    properties: Mapping[str, Any] = verb["schema"].get("properties", {})
    done = [word for word, _, _ in words(rest)]
    prefix = done.pop() if done and not rest[-1].isspace() else ""
    options = {f"--{name.replace('_', '-')}": name for name in properties if name not in verb["positional"]}
    if done and done[-1] in options and properties[options[done[-1]]].get("type") != "boolean":
        return _values(prefix, options[done[-1]], verb)
    flags = tuple((flag, _what(properties[name])) for flag, name in options.items() if flag not in done)
    if prefix.startswith("-"):
        return Wanted(prefix, flags)
    filled = len([w for i, w in enumerate(done) if not w.startswith("--") and not (i and done[i - 1] in options)])
    if filled < len(verb["positional"]):
        return _values(prefix, verb["positional"][filled], verb)
    return Wanted(prefix) if prefix else Wanted(prefix, flags)


def _values(prefix: str, name: str, verb: Mapping[str, Any]) -> Wanted:
    schema = verb["schema"]["properties"].get(name, {})
    known = next((one["enum"] for one in schema.get("anyOf", (schema,)) if "enum" in one), ())
    return Wanted(prefix, tuple((str(value), name) for value in known), verb["completes"].get(name, ""))


def _what(schema: Mapping[str, Any]) -> str:
    if schema.get("description"):
        return str(schema["description"])
    default = schema.get("default")
    return "" if default in (None, "", False) else f"otherwise {default}"


class VerbCompleter(Completer):
    """Completes commands, options and live values; the kernel is asked for these each time."""

    def __init__(
        self, verbs: Callable[[], Sequence[Mapping[str, Any]]], values: Callable[[str], Awaitable[list[str]]]
    ) -> None:
        self._verbs, self._values = verbs, values

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Give nothing: the prompt's loop asks for the asynchronous ones."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Give what fits the word under the cursor: what begins with it, then what contains it."""
        want = wanted(document.text_before_cursor, self._verbs())
        if want is None:
            return
        live = [(want.lead + value, "") for value in await self._values(want.values)] if want.values else []
        choices = dict([*want.choices, *live])
        begins = [word for word in choices if word.startswith(want.prefix)]
        bare = want.prefix.lstrip("/@-")
        holds = [word for word in choices if bare and bare in word and word not in begins]
        for word in [*begins, *holds]:
            yield Completion(word, start_position=-len(want.prefix), display_meta=choices[word])
