"""`make docs`: what the documentation says because the code says it; with `--check`, whether it is up to date."""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import hookpages
import matrix
import msgspec
import trio
import workspace
from pydantic import TypeAdapter
from workspace import ROOMS, ROOT, Member, members

from aegis import Kernel, errors, events, open_kernel
from aegis.callers import CLASSES
from aegis.testing.abilities import ABILITIES

REFERENCE = ROOT / "docs" / "reference"
NOTE = "<!-- written by `make docs`; edit the docstrings it is made from -->"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(title: str, *parts: str) -> str:
    """Return a generated page."""
    return "\n\n".join([f"# {title}", NOTE, *(p.strip() for p in parts)]) + "\n"


def paragraphs(doc: str | None) -> str:
    """Return a docstring as markdown."""
    return inspect.cleandoc(doc or "")


def kind(schema: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(option) for option in options))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {kind(schema['additionalProperties'])}"
    return {"null": "none", "object": "mapping"}.get(str(schema.get("type")), str(schema.get("type", "anything")))


def fields(schema: dict[str, Any], *, sections: dict[str, Any] | None = None) -> str:
    """Return a table of an object schema's fields, followed by those of the objects it refers to."""
    required = schema.get("required", ())
    rows = []
    for name, prop in schema.get("properties", {}).items():
        default = (
            "required" if name in required else f"`{prop['default']}`" if prop.get("default") not in (None, "") else ""
        )
        rows.append([f"`{name}`", kind(prop), default, prop.get("description", "")])
    own = table(["key", "type", "default", "is"], rows) if rows else f"A {kind(schema)}."
    further = [
        f"`{name}`:\n\n{fields(part)}" for name, part in schema.get("$defs", {}).items() if part.get("properties")
    ]
    return "\n\n".join([own, *further])


# ------------------------------------------------------------------------------------------------------------- pages


def hooks() -> str:
    """Return the page of hooks and interceptor points."""
    plugins = ((m.folder.name, import_module(f"{m.package}.plugin")) for m in workspace.plugins())
    return page("Hooks", *hookpages.parts(plugins))


def happenings() -> str:
    """Return the page of events."""
    parts = [paragraphs(events.__doc__)]
    for name, event in sorted(events.KINDS.items()):
        hints = inspect.get_annotations(event)
        rows = [
            [f"`{f.name}`", f"`{hints[f.name]}`", "required" if f.required else default(f)]
            for f in msgspec.structs.fields(event)
        ]
        body = table(["field", "type", "default"], rows) if rows else ""
        parts.append(f"## {name}\n\n{paragraphs(event.__doc__)}\n\n{body}".rstrip())
    return page("Events", *parts)


def default(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's default as code."""
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{value!r}`"


_EXIT_CODES = (
    "Each ends a shell command with its exit code. A verb that returns a value ends it with 0, unless the value has an "
    "attribute `exit_code`: `term run` ends with its command's own code and with 124 after a time-out, `workflow wait` "
    "with 1 when the run failed. A verb that only looks ends with 0 whatever it shows."
)


def mistakes() -> str:
    """Return the page of errors."""
    found = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, errors.AegisError)]
    rows = [[f"`{e.__name__}`", f"`{e.__base__.__name__}`", str(e.exit_code), paragraphs(e.__doc__)] for e in found]
    return page("Errors", _EXIT_CODES, table(["error", "is a", "exit code", "says"], rows))


def settings(kernel: Kernel, declared: dict[str, dict[str, Any]]) -> str:
    """Return the page of `.aegis.yaml`."""
    parts = [
        "Every key of `.aegis.yaml`, by the plugin that owns it; an unknown one is an error that says what exists."
    ]
    for name in kernel.config.names():  # without a configuration: the providers
        driver = kernel.config.profile(name)[1]
        schema = TypeAdapter(driver.settings).json_schema()
        schema["properties"]["provider"]["default"] = name
        parts.append(f"## agents: a profile with `provider: {name}`\n\n{fields(schema)}")
    for plugin, sections in sorted(declared.items()):
        for section, model in sorted(sections.items()):
            schema = model.json_schema()
            about = re.sub(rf"^(The section )?`{section}`[.:;] ?", "", paragraphs(schema.get("description")))
            about = about[:1].upper() + about[1:]
            whose = f"Owned by `{plugin}`." if plugin else "The kernel's own."
            parts.append(f"## {section}\n\n{whose} {about}".rstrip() + f"\n\n{fields(schema)}")
    return page("Settings", *parts)


def providers(found: matrix.Rows) -> str:
    """Return the page of what each CLI can do, as the live tests found it."""
    clis = [[f"[{n}](#{n})", f"`{p['cli']}`", p["version"], f"`{p['driver']}`"] for n, p in found.items()]
    cans = [[f"{name}: {means}", *(can(row, name) for row in found.values())] for name, means in ABILITIES.items()]
    parts = [
        "What each CLI can do under its driver, proven by the tests in `tests/live`: the real CLI, in this version, "
        "with a model that follows a script. A run of all these tests that finds something else fails; `make matrix` "
        "runs them and writes what they find. `not staged` says that no test here shows it, not that it does not work.",
        table(["provider", "CLI", "version", "driver"], clis),
        table(["ability", *found], cans),
    ]
    for name, row in found.items():
        proofs = [[ability, said["can"], because(said)] for ability, said in row["abilities"].items()]
        parts.append(f"## {name}\n\n" + table(["ability", "", "because; the tests that prove it"], proofs))
    return page("Providers", *parts)


def can(row: dict[str, Any], ability: str) -> str:
    """Return whether the CLI has the ability."""
    return str(row["abilities"].get(ability, {"can": matrix.NOT_STAGED})["can"])


def because(said: dict[str, Any]) -> str:
    """Return why it is so, and which tests prove it."""
    reason = [said["reason"]] if "reason" in said else []
    return "<br>".join([*reason, *map(proof, said.get("tests", []))])


def proof(test: str) -> str:
    """Return a link to the file of a test."""
    file, _, name = test.partition("::")
    return f"[`{name.replace('::', '.')}`](../../{file})"


def whom(classes: list[str]) -> str:
    """Return who may use a verb, in words."""
    plural = {"agent": "agents", "person": "people", "program": "programs"}
    if classes == ["program"]:
        return "programs: it is a part of other verbs"
    return "everyone" if set(classes) == CLASSES else " and ".join(plural[name] for name in classes)


def usage(verb: dict[str, Any]) -> str:
    """Return a verb's shell command with its parameters, those in brackets that may be left out."""
    words = [f"aegis {verb['name']}"]
    options = [name for name in verb["schema"].get("properties", {}) if name not in verb["positional"]]
    for name in [*verb["positional"], *options]:
        flag = ("--" if name[1:] else "-") + name.replace("_", "-") if name in options else ""
        boolean = flag and verb["schema"]["properties"][name].get("type") == "boolean"
        word = flag if boolean else f"{flag} {name.upper()}".strip()
        words.append(word if name in verb["schema"].get("required", ()) else f"[{word}]")
    return " ".join(words)


def verb_page(verbs: list[dict[str, Any]]) -> str:
    """Return the page of verbs, by the plugin that brings them."""
    parts = [
        "One verb is a shell command, a REPL command (`/` and its name) and a tool for agents. What is quoted under "
        "*For agents* is shown to them only, after the text before it."
    ]
    for plugin in sorted({v["plugin"] for v in verbs}):
        parts.append(f"## {plugin}")
        parts += [_verb(verb) for verb in verbs if verb["plugin"] == plugin]
    return page("Verbs", *parts)


def _verb(verb: dict[str, Any]) -> str:
    """Return one verb's part of the page."""
    marks = [word.replace("_", "-") for word in ("read_only", "destructive") if verb[word]]
    tool = [f"tool `{verb['tool']}`"] if "agent" in verb["for"] else []
    facts = [f"For {whom(verb['for'])}", *tool, *marks]
    advice = "\n".join(f"> {line}".rstrip() for line in paragraphs(verb["advice"]).splitlines())
    body = fields(verb["schema"]) if verb["schema"].get("properties") else ""
    parts = [
        f"### {verb['name']}", f"    {usage(verb)}", paragraphs(verb["doc"]),
        f"*For agents:*\n\n{advice}" if advice else "", f"{'; '.join(facts)}.", body,
    ]  # fmt: skip
    return "\n\n".join(filter(None, parts))


def verb_table(verbs: list[dict[str, Any]], plugin: str) -> str:
    """Return the verbs of one plugin, for its README."""
    rows = [[f"`{usage(v)}`", f"`{v['tool']}`", v["help"]] for v in verbs if v["plugin"] == plugin]
    return table(["command", "tool", "does"], rows)


def package_table(all_members: list[Member]) -> str:
    """Return every package, for the README."""
    defaults = Member(ROOT, "").toml["project"]["dependencies"]
    rows = []
    for room in ROOMS:
        for member in (m for m in all_members if m.room == room):
            link = f"[{member.distribution}]({member.path}/README.md)"
            usual = "yes" if member.distribution in defaults else ""
            rows.append([link, room, member.toml["project"]["description"], usual])
    return table(["package", "room", "brings", "in the default set"], rows)


def between(text: str, mark: str, body: str) -> str:
    """Return the text with what stands between `<!-- mark -->` and `<!-- /mark -->` replaced."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    return pattern.sub(lambda m: f"{m[1]}{body}\n{m[2]}", text)


# --------------------------------------------------------------------------------------------------------------- all


async def everything() -> dict[Path, str]:
    """Return every generated page, made by a kernel that has every member and no other plugin."""
    plugins = {m.folder.name: import_module(f"{m.package}.plugin") for m in workspace.plugins()}
    with tempfile.TemporaryDirectory() as folder:
        async with open_kernel(Path(folder), plugins=plugins, environment={}, trusted=True) as kernel:
            if broken := [p for p in kernel.plugins.report() if p.state == "failed"]:
                raise SystemExit("\n".join(f"{p.name} does not load: {p.error}" for p in broken))
            verbs = [verb.describe() for verb in kernel.verbs]
            declared: dict[str, dict[str, Any]] = {}
            for section, owner in kernel.config.sections.owners().items():
                declared.setdefault(owner, {})[section] = kernel.config.sections[section]
            return dict(pages(kernel, verbs, declared))


def pages(
    kernel: Kernel, verbs: list[dict[str, Any]], declared: dict[str, dict[str, Any]]
) -> Iterator[tuple[Path, str]]:
    """Yield (path, text) of everything generated."""
    written = {
        "verbs": ("every verb, by package", verb_page(verbs)),
        "settings": ("every key of `.aegis.yaml`", settings(kernel, declared)),
        "hooks": ("what a plugin may offer", hooks()),
        "events": ("what watchers see", happenings()),
        "errors": ("what can go wrong, and exit codes", mistakes()),
        "providers": ("what each agent CLI can do, and which test proves it", providers(matrix.load())),
    }
    for name, (_, text) in written.items():
        yield REFERENCE / f"{name}.md", text
    index = "\n".join(f"- [{name}]({name}.md): {what}" for name, (what, _) in written.items())
    yield REFERENCE / "README.md", page("Reference", index)
    readme = ROOT / "README.md"
    yield readme, between(readme.read_text(encoding="utf-8"), "packages", package_table(members()))
    for member in workspace.plugins():
        text = (member.folder / "README.md").read_text(encoding="utf-8")
        yield member.folder / "README.md", between(text, "verbs", verb_table(verbs, member.folder.name))


def main() -> None:
    """Write the pages, or say which are behind."""
    behind = [
        (path, text)
        for path, text in trio.run(everything).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        if behind:
            names = ", ".join(str(path.relative_to(ROOT)) for path, _ in behind)
            raise SystemExit(f"behind the code: {names}; run `make docs` and commit them")
        return
    for path, text in behind:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
