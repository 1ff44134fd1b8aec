"""The console as a person has it: in a real terminal, typed to key by key."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from repl_terminal import STAGE, Terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not here")


@pytest.fixture
def terminal(tmp_path):
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def two(terminal):
    terminal.start("lucid-knuth", "wry-hopper")
    terminal.wait(r"^lucid-knuth ›")
    return terminal


def test_two_agents_talk_and_the_person_looks_from_one_to_the_other(two):
    two.wait("Type to talk to lucid-knuth", "aegis · 2 agents", "● 1 lucid-knuth ·actor·  ● 2 wry-hopper ·actor·")
    two.type("tell wry-hopper please look at worker.py", "Enter")
    two.wait(r"⏺ aegis_handoff\(target=wry-hopper\)\n  └ ok landed at wry-hopper")
    two.wait(r"wry-hopper ·actor· \*$")  # the sticky star of what was not seen yet
    two.type("", "M-2")
    two.wait(r"^wry-hopper ›")
    two.wait(r"✉ from agent:lucid-knuth · \d\d:\d\d:\d\dZ\n  please look at worker.py\n")
    two.wait(r"echo: please look at worker.py\n── done in")
    two.wait(r"wry-hopper ·actor· \*", gone=True)
    two.type("", "C-Left")
    two.wait(r"^lucid-knuth ›")
    two.type("", "C-q")
    two.wait("left with 0")
    assert two.sane()


def test_escape_stops_a_turn_and_only_that(two):
    two.type("hold", "Enter")
    two.wait(r"working \ds")
    two.type("half a line", "Escape")
    two.wait(r"── stopped in")
    two.wait(r"lucid-knuth ·actor·  default/auto  idle", r"^lucid-knuth › half a line$")


def test_the_menu_completes_verbs_and_live_handles_and_escape_dismisses_it(two):
    two.type("/se")
    two.wait("/sessions +List the agents that are alive", "/send")
    two.type("nd w", "Tab")
    two.wait(r"^lucid-knuth › /send wry-hopper")
    two.type("", "C-c")
    two.wait(r"^lucid-knuth ›$")
    two.type("@wr")
    two.wait(r"^ +@wry-hopper")
    two.type("", "Escape")
    two.wait(r"^ +@wry-hopper", gone=True)
    assert "stopping" not in two.screen()
    two.type("", "C-c")
    two.type("@wry-hopper psst", "Enter")
    two.wait(r"wry-hopper ·actor· \*$")


def test_typing_goes_on_while_an_agent_floods(two):
    two.type("drip", "Enter")
    two.wait(r"^drip \d\d+$")
    two.type("still here")
    two.wait(r"^lucid-knuth › still here$", r"^drip \d\d+$")
    two.type("", "C-c", "Escape")
    two.wait("── stopped in")
    drips = [int(n) for n in re.findall(r"^drip (\d+)$", two.screen(scrollback=True), re.MULTILINE)]
    assert drips == list(range(len(drips)))  # each once, none torn, in order


def test_a_flood_is_cut_but_its_end_is_seen(two):
    two.type("flood 60000", "Enter")
    two.wait("flood is over", r"^flood line 59999$")
    assert re.search(r"… [\d,]+ lines went by too fast to be shown", two.screen(scrollback=True))


def test_a_person_is_asked_and_answers(two):
    two.type("ask", "Enter")
    two.wait(r"\? lucid-knuth asks to use Bash: rm -rf build\n  y allows once")
    two.type('n not "today"', "Enter")
    two.wait('it was denied: not "today"')
    two.wait("y allows once", gone=True)
    two.type("ask", "Enter")
    two.wait(r"y allows once")
    two.type("y", "Enter")
    two.wait("it was allowed")
    two.wait("y allows once", gone=True)


def test_agents_come_and_go(two):
    two.type("/spawn actor --handle brisk-curie", "Enter")
    two.wait(r"^brisk-curie ›")
    two.type("", "C-n")
    two.wait(r"^brisk-curie › /spawn *\n +actor")
    two.type("", "Down", "Enter")
    two.wait(r"^new-3 ›")
    two.type("", "C-w")
    two.wait(r"\? close new-3\?  y / n")
    two.type("", "n")
    two.wait("close new-3", gone=True)
    assert two.wait(r"^new-3 ›$")
    two.type("", "C-w")
    two.wait(r"\? close new-3\?")
    two.type("", "y")
    two.wait(r"^brisk-curie ›", r"^ *● 1(?!.*new-3 ·).* brisk-curie ·actor·")


def test_closing_the_last_agent_quits(terminal):
    terminal.start("lucid-knuth")
    terminal.wait(r"^lucid-knuth ›")
    terminal.type("", "C-w")
    terminal.wait("close lucid-knuth and quit aegis")
    terminal.type("", "y")
    terminal.wait("left with 0")
    assert terminal.sane()


def test_with_nobody_here_the_first_screen_says_what_to_do(terminal):
    terminal.start()
    terminal.wait("No agent is here yet. What you type starts one; /spawn takes a profile: actor")
    terminal.type("/spwan x", "Enter")
    terminal.wait("there is no command /spwan. Did you mean 'spawn'")
    terminal.type("/nosuch", "Enter")
    terminal.wait("there is no command /nosuch")
    terminal.type("/help", "Enter")
    terminal.wait("Ctrl\\+T, Ctrl\\+N")
    terminal.type("", "C-d")
    terminal.wait("left with 0")


def test_with_nobody_here_what_is_typed_starts_the_default_agent_once(terminal):
    terminal.start()
    terminal.wait("No agent is here yet")
    terminal.type("first", "Enter")
    terminal.type("second", "Enter")
    terminal.wait("echo: second")
    terminal.type("/tab", "Enter")
    terminal.wait("▸ 1 new-0 ·actor· idle")
    assert "echo: first" in terminal.screen() and "new-1" not in terminal.screen()


def test_control_c_clears_then_quits(two):
    two.type("some words", "C-c")
    two.wait(r"^lucid-knuth ›$")
    two.type("", "C-c")
    two.wait("once more quits")
    two.type("", "C-c")
    two.wait("left with 0")
    assert two.sane()


def test_a_narrow_terminal_and_a_resize(two):
    two.type("a draft")
    two.resize(40, 15)
    two.wait(r"1 lucid-knuth ·actor·.* ›$", r"^lucid-knuth › a draft$")
    two.type("", "Enter")
    two.wait("echo: a draft")
    two.resize(120, 30)
    two.wait(r"● 1 lucid-knuth ·actor·  ● 2 wry-hopper ·actor·$")


def test_a_bell_rings_when_an_agent_in_the_background_is_done(two):
    two.type("", "M-2")
    two.wait(r"^wry-hopper ›")
    two.tmux("new-window", "sh")  # tmux marks the bell of a window nobody looks at
    two.tmux("send-keys", "-t", ":0", "-l", "@lucid-knuth psst")
    two.tmux("send-keys", "-t", ":0", "Enter")
    deadline = time.monotonic() + 10
    while two.tmux("display-message", "-p", "-t", ":0", "#{window_bell_flag}").strip() != "1":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_kernel_goes_away_and_the_terminal_is_sane(terminal, tmp_path, how):
    with subprocess.Popen(
        [sys.executable, str(STAGE), str(tmp_path), "--serve", "lucid-knuth"], stdout=subprocess.PIPE
    ) as kernel:
        assert kernel.stdout.readline() == b"serving\n"
        terminal.start("--attach")
        terminal.wait(r"^lucid-knuth ›")
        terminal.type("hello from afar", "Enter")
        terminal.wait("echo: hello from afar")
        terminal.type("half a")
        kernel.send_signal(how)
        kernel.wait(10)
    terminal.wait("aegis has stopped. What it accepted is on disk")
    terminal.wait(r"left with 1")
    assert terminal.sane()
