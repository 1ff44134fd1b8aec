"""Line budgets: blank lines and comments are free, docstrings count."""

import io
import tokenize
from pathlib import Path

import pytest
from workspace import members

# The kernel has three storeys, and a line is admitted by the question of its storey: for mechanism, "could two plugins
# corrupt each other without it?"; for words, "is it a value or a protocol that plugins meet in?"; for the entrance, "is
# it needed before the first plugin runs?". A budget only
# falls.
BUDGETS = {"mechanism": 1799, "words": 559, "entrance": 590}
STOREYS = {
    "mechanism": {
        "agent", "agent_view", "bus", "client", "directory", "interceptors", "ledger", "mail", "mail_history",
        "mailbox", "mailboxes", "outbox", "redactor", "registry", "roster", "seat", "supervise", "turn",
        "verb_definition", "verbs",
    },
    "words": {
        "__init__", "admission", "callers", "clock", "driver", "envelope", "errors", "events",
        "frontend", "hookspecs", "primitive", "reducer",
    },
    "entrance": {"app", "config", "plugins", "project"},
}  # fmt: skip
KERNEL_MODULE, MODULE = 200, 300
FREE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines(source: str) -> int:
    """Return how many lines hold anything but a comment."""
    text = source.splitlines()
    held: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(source.encode()).readline):
        if token.type not in FREE:
            held.update(range(token.start[0], token.end[0] + 1))
    return sum(1 for number in held if text[number - 1].strip())


def count(module: Path) -> int:
    return lines(module.read_text())


def kernel() -> dict[str, int]:
    return {m.stem: count(m) for m in members()[0].modules() if "testing" not in m.parts}


def test_what_counts():
    assert lines('"""One.\n\nTwo.\n"""\n\n# free\nx = 1  # counts once\n\ns = "#"\n') == 5


def test_every_kernel_module_is_in_one_storey():
    placed = [name for names in STOREYS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(kernel()) <= set(placed), "give the new module its storey in STOREYS"


@pytest.mark.parametrize("storey", STOREYS)
def test_a_storey_stays_small(storey):
    sizes = {name: size for name, size in kernel().items() if name in STOREYS[storey]}
    total = sum(sizes.values())
    longest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert total <= BUDGETS[storey], f"{total} lines of {BUDGETS[storey]}; the longest: {longest}"


def test_no_module_is_long(member):
    def most(module: Path) -> int:
        return KERNEL_MODULE if member.room == "kernel" and "testing" not in module.parts else MODULE

    long = {str(m.relative_to(member.folder)): count(m) for m in member.modules() if count(m) > most(m)}
    assert long == {}, f"over {KERNEL_MODULE} in the kernel, {MODULE} elsewhere"
