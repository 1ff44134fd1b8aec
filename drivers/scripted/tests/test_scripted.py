"""What a person meets: the default script, scripts of one's own, permission modes."""

import pytest

from aegis.errors import ConfigError, LaunchError, Refused
from aegis.testing.script import STEPS, check
from aegis.testing.seats import Seats, turn
from aegis_scripted import plugin
from aegis_scripted.default_script import SCRIPT
from aegis_scripted.driver import ScriptedDriver


@pytest.fixture
def plugins():
    return {"scripted": plugin}


@pytest.fixture
def seats(tmp_path, environment):
    return Seats(ScriptedDriver(), tmp_path, environment)


async def reply(kernel, agent, words, sender="human:anna"):
    receipt = await kernel.post.deliver(kernel.post.envelope(sender, agent.id, words))
    return (await kernel.post.wait_turn(receipt.id)).reply


def test_the_default_script_can_be_followed():
    check(SCRIPT)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hello", "Hello. I am lucid-knuth, an agent without a model"),
        ("wait 0.01", "I waited 0.01 s."),
        ("think again", "I thought about it."),
        ("help", "I obey: `tell <handle> <text>`"),
        ("tell bo hi", "there is no MCP server 'aegis' here"),
        ("ask nicely", "The answer: no plugin here can ask anyone"),
        ("the sky is green", "You said: the sky is green"),
    ],
)
async def test_it_obeys_a_person(kernel, words, said):
    agent = await kernel.roster.spawn("scripted", "lucid-knuth")
    assert (await reply(kernel, agent, words)).startswith(said)


async def test_it_only_listens_to_agents(kernel):
    agent = await kernel.roster.spawn("scripted", "lucid-knuth")
    said = await reply(kernel, agent, "the sky is green", sender="agent:bo")
    assert said == "I have heard this from agent:bo: the sky is green"


async def test_a_batch_is_answered_letter_by_letter(seats):
    prompt = "> from human:anna · t\n> id 1\nwait 0\n\n> from human:anna · t\n> id 2\nthink x"
    async with seats.open({}) as session:
        events = await turn(session, prompt)
    assert [e.text for e in events if type(e).__name__ == "Text"] == ["I waited 0 s.", "I thought about it."]


async def test_a_script_may_be_a_file(seats):
    (seats.folder / "work").mkdir()
    (seats.folder / "work" / "mine.yaml").write_text("rules:\n  - do: [{say: 'by the file'}]\n")
    async with seats.open({"script": "mine.yaml"}) as session:
        events = await turn(session, "x")
    assert [e.text for e in events if type(e).__name__ == "Text"] == ["by the file"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("rules: 5", "a list of rules"),
        ("rules: [{do: [{shout: x}]}]", "rule 1, step 1 must be"),
    ],
)
async def test_a_file_that_is_no_script_is_refused_with_the_reason(seats, text, said):
    (seats.folder / "work").mkdir()
    if text is not None:
        (seats.folder / "work" / "mine.yaml").write_text(text)
    with pytest.raises(Refused, match=said):
        async with seats.open({"script": "mine.yaml"}):
            pass


async def test_a_wrong_script_in_the_configuration_stops_the_start(project, kernel_with):
    (project / ".aegis.yaml").write_text("agents:\n  a:\n    provider: scripted\n    script: [{do: [{shout: x}]}]\n")
    with pytest.raises(ConfigError, match=r"rule 1, step 1 must be one of: say"):
        async with kernel_with(scripted=plugin):
            pass


@pytest.mark.parametrize(("permission", "asks", "writes"), [("read", 0, False), ("full", 0, True), ("auto", 1, True)])
async def test_permission_modes_are_enforced(seats, permission, asks, writes):
    async with seats.open({"permission": permission}) as session:
        await turn(session, "edit note.txt words")
    assert len(seats.asked) == asks
    assert (seats.folder / "work" / "note.txt").exists() is writes


async def test_what_the_person_exports_for_python_does_not_reach_it(seats):
    seats.environment |= {"PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": "/nowhere"}
    async with seats.open({}) as session:
        assert (await turn(session, "help"))[-1].outcome == "completed"


async def test_a_conversation_file_that_is_damaged_is_said(seats):
    folder = seats.folder / "kept"
    async with seats.open({}, seat_folder=folder) as session:
        known = session.session_id
    (folder / "conversation.json").write_text("{")
    with pytest.raises(LaunchError, match=f"there is no conversation '{known}'"):
        async with seats.open({}, seat_folder=folder, resume=known):
            pass


def test_the_readme_names_every_step(request):
    readme = (request.path.parents[1] / "README.md").read_text()
    assert [step for step in STEPS if f"`{step}:" not in readme] == []
