"""`make new-plugin KIND NAME`: a member that works at once, with a test that says so."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from string import Template

from workspace import ROOT

TEMPLATES = Path(__file__).parent / "templates"
ROOM = {"driver": "drivers", "primitive": "primitives", "frontend": "frontends", "plugin": "plugins"}
NEEDS = {
    "driver": ("msgspec>=0.20", "pydantic>=2.10", "trio>=0.30"),
    "primitive": ("pydantic>=2.10",),
    "frontend": ("trio>=0.30",),
    "plugin": ("pydantic>=2.10",),
}


def render(kind: str, name: str, root: Path) -> Path:
    """Write the member's files and return its folder."""
    folder = root / ROOM[kind] / name
    words = {
        "name": name,
        "Noun": name.capitalize(),
        "kind": kind,
        "extra": "".join(f'\n    "{need}",' for need in NEEDS[kind]),
    }
    for base in (TEMPLATES / "every", TEMPLATES / kind):
        for template in sorted(p for p in base.rglob("*") if p.is_file()):
            place = template.relative_to(base).with_suffix("").as_posix()
            path = folder / place.replace("src/", f"src/aegis_{name}/").replace("NAME", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return folder


def enlist(text: str, name: str) -> str:
    """Return the root pyproject.toml with the member in the sources and in every list of the linter."""
    text = added(text, re.compile(r"(?:^aegis-[\w-]+ = \{ workspace = true \}\n)+", re.MULTILINE), f"aegis-{name}")
    return added(text, re.compile(r'(?:^    "aegis(?:_\w+)?",\n)+', re.MULTILINE), f"aegis_{name}")


def added(text: str, run: re.Pattern[str], word: str) -> str:
    """Return the text with one more line, in its place, in every run of lines that names more than libraries."""

    def one_more(match: re.Match[str]) -> str:
        lines = match[0].splitlines(keepends=True)
        like = lines[-1]
        new = re.sub(r"aegis[-\w]+", word, like, count=1)
        members = len(lines) > 1 and any(re.search(r"aegis[-_]inbox\b", line) for line in lines)
        return "".join(sorted({*lines, new})) if members else match[0]

    return run.sub(one_more, text)


def main() -> None:
    """Make the member that the command line names."""
    parser = argparse.ArgumentParser(prog="make new-plugin", usage="make new-plugin KIND NAME")
    parser.add_argument("kind", choices=sorted(ROOM))
    parser.add_argument("name", help="one lower-case word: what follows `aegis-`")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9]*", asked.name):
        parser.error(f"{asked.name!r} is not one lower-case word")
    if there := next(asked.root.glob(f"*/{asked.name}/pyproject.toml"), None):
        parser.error(f"there is a member of that name: {there.parent.relative_to(asked.root)}")
    folder = render(asked.kind, asked.name, asked.root)
    workspace = asked.root / "pyproject.toml"
    workspace.write_text(enlist(workspace.read_text(encoding="utf-8"), asked.name), encoding="utf-8")
    place = folder.relative_to(asked.root)
    print(f"made {place}; its tests: .venv/bin/pytest {place}; next: docs/how-to/add-a-plugin.md")


if __name__ == "__main__":
    main()
