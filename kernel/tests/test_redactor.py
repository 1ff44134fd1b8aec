"""What is known as a secret is cut out of whatever is said."""

import pytest
import trio
from fakedriver import FakeDriver, Plugin

from aegis import Refused, open_kernel
from aegis.events import Fault, PermissionAsked, Text, ToolCall, TurnEnded
from aegis.redactor import Redactor

ODD = 'pa"ss\\word\nü'


@pytest.fixture
def redactor():
    made = Redactor()
    made.know("ODD", ODD)
    made.know("KEY", "123456")
    return made


def test_it_knows_nothing_at_first_and_changes_nothing():
    redactor, event = Redactor(), Text("x")
    assert redactor.json(b'{"a":1}') == b'{"a":1}' and redactor.text("x") == "x" and redactor.events([event]) == [event]


def test_events_keep_their_kind(redactor):
    clean = Text("hello")
    said = [
        clean, Text(f"it is {ODD}"), ToolCall("1", "Bash", "t", "execute", {"command": ["echo", "123456"]}),
        TurnEnded("completed", reply="123456"), PermissionAsked("1", "Bash", "execute", "echo 123456", {}),
    ]  # fmt: skip
    cut = redactor.events(said)
    assert cut[0] is clean
    assert [type(e) for e in cut] == [type(e) for e in said]
    assert (cut[1].text, cut[2].input, cut[3].reply) == (
        "it is <secret:ODD>", {"command": ["echo", "<secret:KEY>"]}, "<secret:KEY>"
    )  # fmt: skip


def test_an_error_keeps_its_kind_and_its_data(redactor):
    cut = redactor.error(Refused("not 123456", unblock_at="123456"))
    assert (type(cut), str(cut), cut.data) == (Refused, "not <secret:KEY>", {"unblock_at": "<secret:KEY>"})


async def test_books_and_bus_say_no_secret(project):
    async with open_kernel(project, plugins={}, environment={}) as kernel:
        kernel.redactor.know("KEY", "sesame-4711")
        record = await kernel.ledger.book("notes").append("note", "k", text="it is sesame-4711")
        with kernel.bus.subscribe() as news:
            kernel.bus.publish("a", Text("sesame-4711"))
            kernel.bus.report(Fault("x", "sesame-4711"))
            events = [e for batch in news.take() for e in batch.events]
        assert record.data == {"text": "it is <secret:KEY>"}
        assert [getattr(e, "text", getattr(e, "error", "")) for e in events] == ["<secret:KEY>"] * 2
        assert kernel.snapshot()["faults"][-1]["error"] == "<secret:KEY>"
    assert not [f for f in (project / ".aegis").rglob("*") if f.is_file() and b"sesame-4711" in f.read_bytes()]


async def test_a_secret_that_is_said_in_two_pieces_is_found_and_nothing_else_is_held_back(kernel_with):
    driver = FakeDriver(behave=lambda session, prompt: None)
    async with kernel_with(fake=Plugin(drivers=[driver])) as kernel:
        kernel.redactor.know("KEY", "sesame-4711")
        agent = await kernel.roster.spawn("fake", "calm-codd")
        with kernel.bus.subscribe(only=(Text, TurnEnded)) as news:
            receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, "go"))
            [session] = driver.sessions
            for said in ("it is sesame-", "4711, and not ses"):
                session.say(Text(said))
                await trio.testing.wait_all_tasks_blocked()
            assert [e.text for b in news.take() for e in b.events] == ["it is ", "<secret:KEY>, and not "]
            session.say(TurnEnded("completed"))
            ended = await kernel.post.wait_turn(receipt.id)
            assert [getattr(e, "text", "") for b in news.take() for e in b.events] == ["ses", ""]
    assert ended.reply == "it is <secret:KEY>, and not ses"
