"""Files, pipes and screens are UTF-8 because the code says so: no locale decides what a file of ours means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT, members

TEXT = {"read_text": 1, "write_text": 2, "TextIOWrapper": 2}  # how many positional arguments have the encoding
OPENS = {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"}
STARTS = {"run", "Popen", "check_output", "check_call", "call", "getoutput", "open_process", "run_process"}


def sources() -> list[Path]:
    return [*(module for member in members() for module in member.modules()), *(ROOT / ".make").glob("*.py")]


def name_of(call: ast.Call) -> tuple[str, str]:
    """Return what is called, and on what."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr, ast.unparse(call.func.value)
    return (call.func.id, "") if isinstance(call.func, ast.Name) else ("", "")


def undecided(source: str) -> Iterator[str]:
    """Yield each call that leaves an encoding to the locale."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        what, of = name_of(call)
        said = {keyword.arg: keyword.value for keyword in call.keywords}
        if "encoding" in said or None in said:
            continue
        first = [ast.literal_eval(a) for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        mode = said.get("mode")
        modes = [str(mode.value)] if isinstance(mode, ast.Constant) else [w for w in first if set(w) <= set("rwaxbt+")]
        text = said.get("text") or said.get("universal_newlines")
        if what in TEXT and len(call.args) < TEXT[what]:
            yield f"{call.lineno}: {what}"
        elif what in OPENS and (what, of) != ("open", "os"):
            binary = any("b" in m for m in modes) or (what.endswith("File") and not modes)
            file = what != "open" or not of or bool(modes) or not (call.args or call.keywords)
            if file and not binary:
                yield f"{call.lineno}: {what}"
        elif (what in STARTS and isinstance(text, ast.Constant) and text.value) or what == "getpreferredencoding":
            yield f"{call.lineno}: {what}"


def test_what_is_found():
    bad = [
        "p.read_text()", "p.read_text(errors='x')", "p.write_text(x)", "open(p)", "open(p, 'w')", "p.open()",
        "p.open('a')",
        "p.open(mode='w')", "os.fdopen(f)", "NamedTemporaryFile('w')", "run(x, text=True)", "io.TextIOWrapper(b)",
        "subprocess.Popen(x, universal_newlines=True)", "locale.getpreferredencoding()",
    ]  # fmt: skip
    good = [
        "p.read_text('utf-8')", "p.read_text(encoding='utf-8')", "p.write_text(x, 'utf-8')", "open(p, 'rb')",
        "p.open('ab')",
        "open(p, 'w', encoding='ascii')", "os.open(p, 0)", "service.open(name, cwd)", "NamedTemporaryFile()", "run(x)",
        "run(x, text=True, encoding='utf-8')", "driver.open(seat)", "driver.open(seat=1)",
    ]  # fmt: skip
    assert [line for line in bad if not list(undecided(line))] == []
    assert [line for line in good if list(undecided(line))] == []


def test_no_encoding_is_left_to_the_locale():
    found = {path.relative_to(ROOT).as_posix(): list(undecided(path.read_text(encoding="utf-8"))) for path in sources()}
    assert {path: lines for path, lines in found.items() if lines} == {}, 'write `encoding="utf-8"`'
