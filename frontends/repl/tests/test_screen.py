"""The screen through a pipe: raw bytes in, what a terminal would be sent out, a real kernel behind it."""

import re
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from repl_stage import ME, staged

from aegis import AegisError, Caller
from aegis.client import LocalClient
from aegis_repl.repl import GONE, Repl
from aegis_repl.screen import FrameOutput

BOB = Caller("human", "bob")
ESC, ALT, CTRL_LEFT, CTRL_RIGHT = "\x1b", "\x1b", "\x1b[1;5D", "\x1b[1;5C"


class Paper:
    """A terminal that keeps what it is sent, one entry for each write."""

    encoding = "utf-8"

    def __init__(self):
        self.writes, self.written = [], trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def write(self, text):
        self.writes.append(text)
        self._token.run_sync_soon(self._wrote)

    def _wrote(self):
        self.written.set()
        self.written = trio.Event()

    def flush(self):
        pass

    def isatty(self):
        return True

    def fileno(self):
        raise OSError("paper has no descriptor")

    @property
    def plain(self):
        return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]|\r", "", "".join(self.writes))


class Visit:
    """A console being used."""

    def __init__(self, kernel, keys, paper):
        self.kernel, self.keys, self.paper, self.code = kernel, keys, paper, None
        self.left = trio.Event()
        self._read = 0

    def type(self, text):
        self.keys.send_text(text)

    async def wait(self, pattern, seconds=30):
        """Wait until what was printed since the last wait has the pattern."""
        with trio.move_on_after(seconds):
            while not (found := re.search(pattern, self.paper.plain[self._read :])):
                await self.paper.written.wait()
            self._read += found.end()
            return found
        pytest.fail(f"{pattern!r} never came:\n{self.paper.plain[self._read :]}")


@asynccontextmanager
async def visiting(folder, *handles, client=LocalClient, size=(100, 30)):
    async with staged(folder, *handles) as kernel:
        with create_pipe_input() as keys:
            paper = Paper()
            output = FrameOutput(paper, lambda: Size(rows=size[1], columns=size[0]), term="xterm-256color")
            visit = Visit(kernel, keys, paper)

            async def attend():
                visit.code = await Repl(client(kernel, ME), keys, output).run()
                visit.left.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(attend)
                await visit.wait(r" › ")
                yield visit
                nursery.cancel_scope.cancel()


async def test_a_line_goes_to_the_agent_and_its_words_come_back(tmp_path):
    async with visiting(tmp_path, "lucid-knuth") as visit:
        visit.type("hello\r")
        await visit.wait(r"› hello\n\necho: hello\n── done")
        visit.type("//model\r")
        await visit.wait(r"› /model\n\necho: /model\n")


async def test_a_line_with_bytes_that_are_no_utf8_stays_to_be_mended(tmp_path):
    async with visiting(tmp_path, "lucid-knuth") as visit:
        visit.keys.send_bytes(b"caf\xe9 au lait\r")
        await visit.wait("the line has bytes that are not UTF-8")
        visit.type("!\r")
        await visit.wait(r"› caf� au lait!\n\necho: caf� au lait!\n")


async def test_raw_keys_switch_tabs(tmp_path):
    async with visiting(tmp_path, "aa", "bb", "cc") as visit:
        visit.type(ALT + "3")
        await visit.wait("─── 3 cc ·actor· ───")
        visit.type(CTRL_LEFT)
        await visit.wait("─── 2 bb ·actor· ───")
        visit.type(CTRL_RIGHT + CTRL_RIGHT)
        await visit.wait("─── 3 cc ·actor· ───")
        await visit.wait("─── 1 aa ·actor· ───")
        visit.type("/tab bb\r")
        await visit.wait("─── 2 bb ·actor· ───")
        visit.type("/tab 9\r")
        await visit.wait(r"there is no tab '9' \(there are: 1 aa, 2 bb, 3 cc\)")


async def test_a_lone_escape_stops_the_turn(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("hold\r")
        await visit.wait("working")
        visit.type(ESC)
        await visit.wait("stopping…")
        await visit.wait("── stopped in")


async def test_questions_are_answered_in_order_once_always_and_with_a_reason(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("ask ls,make,rm x,make\r")
        await visit.wait(
            r"\? aa asks to use Bash: ls \(1 of 4\)\n  y allows once · a always, for this agent · n \[why\]"
        )
        visit.type("y\r")
        await visit.wait(r"it was allowed: allowed by human:anna\n")
        await visit.wait(r"\? aa asks to use Bash: make \(1 of 3\)")
        visit.type("a\r")
        answer = r"aa: make is allowed, and from now on: \w{6}: allow aa Bash 'make'"
        alike = r"it was allowed: the rule \w{6} says: allow aa Bash 'make'\n"  # the verb and the event race
        await visit.wait(f"(?s)({answer}.*{alike}|{alike}.*{answer})")
        await visit.wait(r"\? aa asks to use Bash: rm x\n")
        visit.type('n not "today", please\r')
        await visit.wait(r'it was denied: not "today", please\n')
        await visit.wait("── done")
    assert "match: make" in (tmp_path / ".aegis.yaml").read_text()


async def test_a_rule_that_cannot_be_made_leaves_the_question_open(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("ask TOKEN=abcdefgh make\r")
        await visit.wait(r"\? aa asks to use Bash")
        visit.type("a\r")
        await visit.wait("✗ no rule was made of this: it looks like it holds a secret")
        await visit.wait(r"\? aa asks to use Bash")
        visit.type("n\r")
        await visit.wait("it was denied: denied by human:anna")


async def test_an_answer_from_elsewhere_is_said_and_the_question_goes(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("ask ls\r")
        await visit.wait(r"\? aa asks to use Bash: ls\n")
        [row] = await visit.kernel.verbs.call(BOB, "approvals list")
        await visit.kernel.verbs.call(BOB, "approvals deny", {"request": row.id})
        await visit.wait("└ denied by human:bob")
        await visit.wait("── done")
        visit.type("hello\r")
        await visit.wait("echo: hello")
        assert "y allows once" not in visit.paper.plain.rpartition("── done")[0].rpartition("── done")[2]


async def test_lines_arrive_in_the_order_they_were_typed(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("".join(f"line {n}\r" for n in range(20)))
        for n in range(20):
            await visit.wait(f"› line {n}( |\n)")


async def test_what_is_typed_after_control_c_finds_the_line_clear(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("half a\x03whole\r")
        await visit.wait("› whole\n\necho: whole\n")


async def test_a_slow_verb_keeps_nobody_from_going_on(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("/slow\r/sessions\r")
        await visit.wait(r"handle +state\n")
        await visit.wait(r"aa +\w+\n")


async def test_control_t_starts_an_agent_of_the_default_profile_and_goes_there(tmp_path):
    (tmp_path / ".aegis.yaml").write_text("agents:\n  one:\n    provider: actor\ndefault_agent: one\n")
    async with visiting(tmp_path) as visit:
        visit.type("\x14")
        await visit.wait(r"new-0 › ")
        visit.type("\x14")
        await visit.wait(r"─── 2 new-1 ·one· ───")


async def test_a_refusal_is_a_sentence_in_the_transcript(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("/close nobody\r")
        await visit.wait(r"✗ no agent 'nobody' is alive \(live: aa\)")
        visit.type("@nobody hello\r")
        await visit.wait(r"✗ no agent 'nobody' is alive")
        visit.type("/send\r")
        await visit.wait(r"✗ HANDLE and TEXT are missing; usage: /send HANDLE TEXT")


@pytest.mark.parametrize("keys", ["\x11", "\x04", "/quit\r", "\x03\x03"])
async def test_every_way_to_quit(tmp_path, keys):
    async with visiting(tmp_path, "aa") as visit:
        visit.type(keys)
        with trio.fail_after(5):
            await visit.left.wait()
        assert visit.code == 0
        assert GONE not in visit.paper.plain
        sent = "".join(visit.paper.writes)
        assert sent.rfind("\x1b[?2004l") > sent.rfind("\x1b[?2004h")  # bracketed paste is off again
        assert sent.rfind("\x1b[?25h") > sent.rfind("\x1b[?25l")  # and the cursor is seen


async def test_a_frame_is_one_write(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        visit.type("flood 300\r")
        await visit.wait("flood line 299")
        await visit.wait("── done")
    frames = [text for text in visit.paper.writes if "\x1b[?2026h" in text]
    assert frames
    assert all(
        Counter(re.findall(r"\x1b\[\?2026[hl]", text)) == {"\x1b[?2026h": 1, "\x1b[?2026l": 1} for text in frames
    )
    assert not [text for text in visit.paper.writes if "flood line" in text and "\x1b[?2026h" not in text]


class Ends(LocalClient):
    """A client whose kernel goes away once an agent has said goodbye."""

    @asynccontextmanager
    async def watch(self, since=None):
        async def until_goodbye(news):
            async for batches in news:
                yield batches
                if any("goodbye" in str(event) for batch in batches for event in batch.events):
                    return

        async with super().watch(since) as news:
            yield until_goodbye(news)


class Broken(LocalClient):
    """A client whose kernel cannot be asked."""

    async def snapshot(self):
        raise AegisError("the connection is closed")


async def test_a_watch_that_ends_is_said(tmp_path):
    async with visiting(tmp_path, "aa", client=Ends) as visit:
        visit.type("goodbye\r")
        await visit.wait(re.escape(GONE))
        with trio.fail_after(5):
            await visit.left.wait()
        assert visit.code == 1


async def test_a_kernel_that_does_not_answer_is_said_when_the_prompt_is_gone_again(tmp_path):
    async with staged(tmp_path) as kernel:
        paper = Paper()
        with create_pipe_input() as keys:
            output = FrameOutput(paper, lambda: Size(rows=30, columns=100), term="xterm")
            assert await Repl(Broken(kernel, ME), keys, output).run() == 1
        assert paper.plain.endswith("the connection is closed\n")


class Late(LocalClient):
    """A client whose kernel answers its first question, and what an agent read and said, when the test says so."""

    def __init__(self):
        self.answers, self.reads = trio.Event(), trio.Event()

    def __call__(self, kernel, caller):
        super().__init__(kernel, caller)
        return self

    async def snapshot(self):
        await self.answers.wait()
        return await super().snapshot()

    async def call(self, verb, args=None):
        if verb == "read":
            await self.reads.wait()
            return "> from human:anna · 10:00:00Z\n> id 1\n  what was before"
        return await super().call(verb, args)


async def test_what_is_typed_before_it_is_known_who_is_here_is_done_then_in_order(tmp_path):
    async with visiting(tmp_path, "aa", client=(late := Late())) as visit:
        assert "no agents" not in visit.paper.plain
        visit.type("one\r/tab\rtwo\r")
        late.reads.set()
        late.answers.set()
        await visit.wait(r"(?s)Type to talk to aa.*› one\n.*› two")


async def test_a_person_leaves_before_it_is_known_who_is_here(tmp_path):
    async with visiting(tmp_path, "aa", client=Late()) as visit:
        visit.type("\x11")
        with trio.fail_after(5):
            await visit.left.wait()
        assert visit.code == 0


async def test_the_past_is_shown_when_it_comes_above_what_is_said_meanwhile(tmp_path):
    async with visiting(tmp_path, "aa", client=(late := Late())) as visit:
        agent = visit.kernel.roster.find("aa")
        late.answers.set()
        await visit.wait("Type to talk to aa")
        visit.type("hello\r")
        with trio.fail_after(5):
            while agent.turns == 0 or agent.state != "idle":
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert "echo: hello" not in visit.paper.plain
        late.reads.set()
        await visit.wait(r"(?s)what was before\n.*› hello\n\necho: hello\n")


async def test_being_cancelled_leaves_at_once_and_says_why(tmp_path):
    async with visiting(tmp_path, "aa") as visit:
        pass
    assert visit.code is None
    assert visit.paper.plain.endswith(GONE + "\n")
