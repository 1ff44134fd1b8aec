"""Full-screen programs, and text as a screen would show it."""

from __future__ import annotations

import pyte
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_stage import Stage, needs

from aegis_terminal.emulator import Emulator, Screen
from aegis_terminal.emulator import fed as draw
from aegis_terminal.marks import Mark, Marks
from aegis_terminal.plain_text import plain

KEY, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ESCAPES = st.sampled_from([
    b"\x1b[2J", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[31m", b"\x1b[1;5H", b"\x1b]0;title\x07", b"\x1b[999999999C",
    b"\x1b[", b"\r", b"\n", b"\x08", b"\x1b(B", b"\x1bP1$r\x1b\\", b"\xff", "é漢🎉".encode(), b"\x1b[3;1r", b"\x1b[5L",
    b"\x1b[?6h", b"\x1b[0;0;0;0m",
])  # fmt: skip
WILD = st.lists(st.binary(max_size=30) | ESCAPES, max_size=30).map(b"".join)


@needs["vim"]
async def test_vim_on_the_screen(stage: Stage):
    (stage.kernel.project.root / "story.txt").write_text("once upon a time\nthe end\n")
    await stage.spawn()
    async with trio.open_nursery() as nursery:
        ended = []

        async def edit() -> None:
            ended.append(await stage.run("vim -u NONE -i NONE -n story.txt; echo left"))

        nursery.start_soon(edit)
        screen = await stage.shows("once upon a time")
        assert (screen.lines[0], screen.lines[1], screen.lines[2]) == ("once upon a time", "the end", "~")
        assert (screen.full_screen, len(screen.lines)) == (True, 24)
        await stage.call("keys", name="build", keys="ctrl-d")
        await stage.call("keys", name="build", keys="Goand more")
        screen = await stage.shows("and more")
        assert (screen.lines[2], screen.cursor_row, screen.cursor_column) == ("and more", 3, 9)
        await stage.call("keys", name="build", keys="esc")
        await stage.call("keys", name="build", keys=":wq\r")
    assert ended[0].exit == 0
    assert ended[0].stdout.splitlines()[-1] == "left"
    assert "once upon" not in ended[0].stdout, "what was drawn is not what was said"
    assert not (await stage.call("screen", name="build")).full_screen
    assert (stage.kernel.project.root / "story.txt").read_text().endswith("and more\n")


@needs["less"]
async def test_less_on_the_screen(stage: Stage):
    (stage.kernel.project.root / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 200)))
    await stage.spawn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run, "less long.txt")
        screen = await stage.shows("line 23")
        assert screen.lines[:2] == ["line 1", "line 2"]
        await stage.call("keys", name="build", keys="space")
        assert "line 24" in (await stage.shows("line 46")).lines
        await stage.call("keys", name="build", keys="q")
    assert await stage.said("echo back") == (0, "back\n")


async def test_lines_that_are_rewritten_are_said_as_they_ended(stage: Stage):
    await stage.spawn()
    assert (await stage.said("printf '10%%\\r50%%\\r100%%\\ndone\\n'"))[1] == "100%\ndone\n"
    assert (await stage.said("printf 'abc\\b\\bX\\n\\033[31mred\\033[0m\\033]0;title\\a\\n'"))[1] == "aXc\nred\n"
    assert (await stage.said(f"printf '{'w' * 200}\\n'"))[1] == "w" * 200 + "\n", "a long line is not broken"


def fed(pieces: list[bytes]) -> tuple[list[Mark], list[bytes], bytes]:
    """Return the marks, what was said between them, and all of it."""
    marks, found, said = Marks(), [], [b""]
    for piece in [*pieces, b"."]:
        for part in marks.feed(piece, {KEY}):
            if isinstance(part, Mark):
                found.append(part)
                said.append(b"")
            else:
                said[-1] += part
    return found, said, b"".join(said)


def test_a_sequence_the_emulator_has_a_fault_with_costs_itself_only():
    screen = Emulator(5, 20)
    screen.feed(b"one\r\ntwo\x1b[?4m three\r\n\x1b[31mfour")
    look = screen.look(screen.pending())
    assert [line for line in look.lines if line] == ["one", "two three", "four"]


@pytest.mark.fuzz
@given(
    st.lists(
        st.binary(max_size=20) | ESCAPES
        | st.builds(
            lambda kind, code, key, end: f"\x1b]133;{kind}{code};aegis={key}".encode() + end,
            st.sampled_from("ABCD"), st.sampled_from(["", ";0", ";130", ";x"]), st.sampled_from([KEY, OTHER]),
            st.sampled_from([b"\x07", b"\x1b\\"]),
        ),
        max_size=8,
    ).map(b"".join),
    st.data(),
)  # fmt: skip
def test_marks_are_found_however_the_bytes_come(stream: bytes, data: st.DataObject):
    whole = fed([stream])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fed(pieces) == whole
    assert fed([stream[n : n + 1] for n in range(len(stream))]) == whole
    assert OTHER not in {mark.key for mark in whole[0]}


@pytest.mark.fuzz
@settings(deadline=None)
@given(WILD)
def test_text_is_made_of_any_bytes(data: bytes):
    text = plain(data)
    assert "\x1b" not in text
    text.encode()


@pytest.mark.fuzz
@settings(deadline=None)
@given(WILD, st.integers(1, 40), st.integers(1, 100), st.data())
def test_a_screen_is_drawn_of_any_bytes(data: bytes, rows: int, columns: int, more: st.DataObject):
    screen = Emulator(24, 80)
    cut = more.draw(st.integers(0, len(data)))
    screen.feed(data[:cut])
    screen.look(screen.pending())
    screen.resize(rows, columns)
    screen.feed(data[cut:])
    look = screen.look(screen.pending())
    assert len(look.lines) == rows
    assert 0 <= look.column < columns
    assert 0 <= look.row < rows


@pytest.mark.parametrize("orders", ["\x1b#8", "\x1b[4ha", "\x1b[J", "\x1b[9999P", "\x1bc", "\x1bE"])
def test_orders_that_keep_an_emulator_busy_are_not_all_drawn(orders):
    """A few bytes clear or move a whole screen; nobody waits for thousands of them."""
    text = plain((f"one\r\n{orders * 40_000}\r\ntwo\r\n").encode(), 0.05)
    assert text.splitlines()[-1] == "two"
    screen = Emulator(500, 1000)
    screen.feed((orders * 40_000).encode())
    assert len(screen.look(screen.pending()).lines) == 500


def test_what_is_not_drawn_is_shown_without_its_orders():
    assert plain(b"a\x1b[2Jb\rc\x1b]0;t\x07d\x1b[31me\n", 0) == "abcde\n"


def test_drawing_ends_when_its_time_is_over():
    screen = Screen(80, 24)
    stream = pyte.Stream(screen)
    assert draw(stream, "x" * 10, 60)
    assert not draw(stream, "y" * 10, -1)
    assert screen.display[0].rstrip() == "x" * 10
