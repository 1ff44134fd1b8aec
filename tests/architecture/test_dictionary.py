"""One word, one job: names are the field's ordinary terms, and each kind of thing stands in the module of that name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from workspace import ROOT, members

# Words that had several jobs here, or that nobody looks for; the page on words says what each thing is called instead.
BANNED = {
    "bury", "desk", "docket", "door", "epitaph", "face", "gate", "house", "knots", "leave", "past", "scribe", "shelf",
    "shut",
}  # fmt: skip
# "module: name", where such a word is the field's standard term.
STANDARD = {
    "kernel/src/aegis/plugins.py: leave",  # a plugin enters and leaves while the kernel runs
    "kernel/src/aegis/plugins.py: _leave",
}
MODELS = {"BaseModel", "Profile", "Settings"}


def words(name: str) -> set[str]:
    """Return the words of a name in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names(module: Path) -> Iterator[str]:
    """Yield the name of a module and of every class and function in it."""
    yield module.stem
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_words():
    assert words("test_HouseOfX_leaving") == {"test", "house", "of", "x", "leaving"}
    assert words("PTYGate2") == {"pty", "gate"}


def place(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def own_modules(member) -> list[Path]:
    """Return the member's modules without those that exist for tests."""
    return [m for m in member.modules() if "testing" not in (m.stem, m.parent.name)]


def called(node: ast.AST) -> str:
    """Return the last name of what is called or named: `b` of `a.b(…)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def has_verb(node: ast.AST) -> bool:
    return isinstance(node, ast.AsyncFunctionDef) and "verb" in map(called, node.decorator_list)


def is_model(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        name in MODELS or name.endswith(("Profile", "Settings")) for name in map(called, node.bases)
    )


def uses_a_book(node: ast.AST) -> bool:
    """Return whether this opens a book of the ledger or says how one is read: `….ledger.book(…)`, `book.fold(…)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    of = called(node.func.value).lstrip("_")
    return (node.func.attr, of) in {("book", "ledger"), ("fold", "book")}


def misplaced(member, kind, where: str) -> set[str]:
    """Return the modules that have such a node though they are not named as `where` says."""
    pattern = re.compile(where)
    return {
        place(module)
        for module in own_modules(member)
        if not pattern.fullmatch(module.stem)
        if any(kind(node) for node in ast.walk(ast.parse(module.read_text())))
    }


INSIDE = [
    (has_verb, r"(.+_)?verbs", "has verbs, so it is verbs.py or *_verbs.py"),
    (is_model, r"settings|profile", "has models of settings, so it is settings.py or profile.py"),
    (uses_a_book, r"(.+_)?store", "uses a book of the ledger, so it is store.py or *_store.py"),
]


def without_its_inside(member) -> set[str]:
    """Return what stands in this member under a name where nobody looks for it."""
    return {f"{found}: {rule}" for kind, where, rule in INSIDE for found in misplaced(member, kind, where)}


def speaks_otherwise(member) -> set[str]:
    """Return the names in this member that have a banned word."""
    found = ((place(module), name) for module in member.modules() for name in names(module) if words(name) & BANNED)
    return {f"{module}: {name}" for module, name in found} - STANDARD


def test_the_scan_sees_what_it_looks_for():
    tree = ast.parse(
        "class A(Settings): ...\nclass B: ...\nclass V:\n  @verb('x')\n  async def x(self): ...\n"
        "kernel.ledger.book('a')\nself._book.fold(a, b)\nstate.fold(a)\nreducer.fold(a)"
    )
    nodes = list(ast.walk(tree))
    assert [sum(map(kind, nodes)) for kind in (is_model, has_verb, uses_a_book)] == [1, 1, 2]


def test_no_name_has_a_word_that_means_several_things(member):
    assert speaks_otherwise(member) == set(), "see BANNED"


def test_no_test_file_has_one_either():
    files = [path for part in ("tests", "*/*/tests", "kernel/tests") for path in ROOT.glob(f"{part}/**/*.py")]
    found = {place(path) for path in files if words(path.stem) & BANNED}
    assert {name for name in found if not name.endswith("_leave.py")} == set(), "see BANNED; plugins enter and leave"


def test_each_kind_of_thing_stands_in_the_module_of_that_name(plugin):
    assert without_its_inside(plugin) == set()


def test_what_is_excepted_is_there():
    said = {f"{place(module)}: {name}" for member in members() for module in member.modules() for name in names(module)}
    assert said >= STANDARD


def test_the_page_on_words_says_what_to_write_instead():
    page = (ROOT / "docs" / "explanation" / "members.md").read_text()
    assert {word for word in BANNED if f"| `{word}` | " not in page} == set()
