"""The contracts accept what is right and refuse what is not; the driver's is tried by drivers."""

import pytest

from aegis.events import KINDS
from aegis.testing.contracts import FrontendContract, ReducerContract
from aegis.testing.examples import EVENTS

pytest_plugins = ["pytester"]

NOTES = '''
from aegis import Caller, hookimpl, verb


class Notes:
    """Keeps lines, and writes them to agents."""

    name = "notes"

    def __init__(self, kernel):
        self.kernel, self.book = kernel, kernel.ledger.book("notes")
        self.lines = []

    def restore(self):
        """Rebuild."""
        self.lines = [record.data["text"] for record in self.book.replay()[1]]

    @verb("notes add")
    async def add(self, caller: Caller, text: str) -> int:
        """Keep a line."""
        await self.book.append("added", "all", text=text)
        self.lines.append(text)
        return len(self.lines)

    @verb("notes tell")
    async def tell(self, caller: Caller, handle: str) -> str:
        """Write the lines to an agent."""
        post, agent = self.kernel.post, self.kernel.roster.find(handle)
        return str(await post.deliver(post.envelope("notes:all", agent.id, "; ".join(self.lines) or "nothing")))


class Plugin:
    @hookimpl
    def aegis_primitives(self, kernel):
        self.notes = Notes(kernel)
        return [self.notes]
'''
TESTED = """
import pytest
from aegis.testing.contracts import PrimitiveContract

HUMAN = Caller("human", "anna")


class TestNotes(PrimitiveContract):
    @pytest.fixture
    def plugins(self):
        self.plugin = Plugin()
        return {"notes": self.plugin}

    async def act(self, kernel):
        await kernel.verbs.call(HUMAN, "notes add", {"text": "one"})

    async def state(self, kernel):
        return list(self.plugin.notes.lines)

    async def write(self, kernel, handle):
        await kernel.verbs.call(HUMAN, "notes tell", {"handle": handle})
"""


def outcome(pytester, primitive):
    pytester.makepyfile(primitive + TESTED)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider")


def test_a_primitive_that_remembers_passes(pytester):
    outcome(pytester, NOTES).assert_outcomes(passed=3)


def test_a_primitive_that_forgets_is_caught(pytester):
    result = outcome(pytester, NOTES.replace("def restore", "def forget"))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*after a planned stop*"])


def test_a_primitive_that_writes_to_a_handle_is_caught(pytester):
    """An old handle goes on leading to its agent, so what breaks is whoever keeps an address of its own."""
    lost = NOTES.replace("agent.id, ", '"human:" + agent.handle, ')
    result = outcome(pytester, lost)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_a_rename_loses_no_mail*"])


RUN = """
    async def run(self):
        import trio
        try:
            await trio.sleep_forever()
        finally:
            self.kernel.clock.jump(3)  # as if it took so long

    @verb("notes add")"""


def test_a_primitive_that_does_not_stop_is_caught(pytester):
    result = outcome(pytester, NOTES.replace('\n    @verb("notes add")', RUN))
    result.stdout.fnmatch_lines(["FAILED *test_it_stops_when_it_is_cancelled*"])


def test_there_is_an_example_of_every_kind_of_event():
    assert [type(event).__name__ for event in EVENTS] == list(KINDS)


class TestFrontend(FrontendContract):
    silent = frozenset({"Usage"})

    def render(self, event):
        return "" if type(event).__name__ == "Usage" else repr(event)


class Tally:
    name = "tally"

    def fold(self, answers):
        return {a.handle: a.text for a in answers}


class TestReducer(ReducerContract):
    @pytest.fixture
    def reducer(self):
        return Tally()


@pytest.mark.parametrize(
    ("fold", "caught"),
    [
        (lambda answers: answers[-1].text, "total"),
        (lambda answers: {answers}, "total"),
        (lambda answers: answers.pop() and 1 if isinstance(answers, list) else 1, "pure"),
    ],
)
def test_a_reducer_that_is_neither_pure_nor_total_is_caught(fold, caught):
    class Wrong:
        name = "wrong"

    reducer, contract = Wrong(), ReducerContract()
    reducer.fold = fold
    tests = {
        "pure": lambda: contract.test_it_is_pure(reducer),
        "total": lambda: contract.test_it_is_total_and_its_value_is_json(reducer, 0),
    }
    with pytest.raises((AssertionError, IndexError, TypeError)):
        tests[caught]()
