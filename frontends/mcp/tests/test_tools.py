"""What an agent sees, and what it gets back."""

import json
from types import SimpleNamespace

import pytest

from aegis import Caller, verb
from aegis.events import Fault
from aegis_mcp.primer import LIMIT, Primers, tools


async def test_two_agents_at_once_are_who_they_are(scene, mode):
    await scene.spawn("alice")
    await scene.spawn("bob")
    async with scene.client("alice", mode) as alice, scene.client("bob", mode) as bob:
        assert scene.text(await alice.call_tool("aegis_whoami")) == "agent:alice"
        assert scene.text(await bob.call_tool("aegis_whoami")) == "agent:bob"
        assert scene.text(await alice.call_tool("aegis_whoami")) == "agent:alice"


async def test_a_cli_that_sends_no_header_comes_by_path(scene, mode):
    await scene.spawn("alice")
    async with scene.client("alice", mode, in_path=True) as alice:
        assert scene.text(await alice.call_tool("aegis_whoami")) == "agent:alice"


async def test_a_tool_is_its_verb(scene, mode):
    await scene.spawn("alice")
    async with scene.client("alice", mode) as alice:
        tools = {tool.name: tool for tool in (await alice.list_tools()).tools}
    add = tools["aegis_add"]
    assert add.description == "Add two numbers.\n\nThe second is one unless said."
    assert add.input_schema["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}}
    assert add.input_schema["required"] == ["a"]
    hints = {name: (t.annotations.read_only_hint, t.annotations.destructive_hint) for name, t in tools.items()}
    assert hints["aegis_whoami"] == (True, False)
    assert hints["aegis_wipe"] == (False, True)
    assert hints["aegis_add"] == (False, False)
    assert "aegis_post_it" in tools  # the name that the verb asked for
    assert "from_handle" not in json.dumps([t.input_schema for t in tools.values()])


async def test_results_are_for_programs_and_for_readers(scene, mode):
    await scene.spawn("alice")
    async with scene.client("alice", mode) as alice:
        total = await alice.call_tool("aegis_add", {"a": 2, "b": 3})
        receipt = await alice.call_tool("aegis_post_it")
        nothing = await alice.call_tool("aegis_wipe")
        who = await alice.call_tool("aegis_whoami")
    assert (total.structured_content, scene.text(total)) == ({"result": 5}, "5")
    assert scene.text(receipt) == "queued for bob (position 2)"
    assert receipt.structured_content == {"id": "01X", "recipient": "bob", "state": "accepted", "position": 2}
    assert (nothing.structured_content, scene.text(nothing)) == ({"result": None}, "done")
    assert who.structured_content == {"result": "agent:alice"}


async def test_what_is_refused_is_said(scene, mode):
    await scene.spawn("alice")
    async with scene.client("alice", mode) as alice:
        denied = await alice.call_tool("aegis_deny")
        wrong = await alice.call_tool("aegis_add", {"a": "x", "c": 1})
        unknown = await alice.call_tool("aegis_ad")
    assert denied.is_error and scene.text(denied) == "no: the door is shut; ring twice"
    assert wrong.is_error and "a is wrong" in scene.text(wrong) and "there is no c" in scene.text(wrong)
    assert unknown.is_error and "Did you mean 'aegis_add'?" in scene.text(unknown)


async def test_what_fails_is_told_to_people_not_to_agents(scene, mode):
    await scene.spawn("alice")
    with scene.kernel.bus.subscribe() as news:
        async with scene.client("alice", mode) as alice:
            broken = await alice.call_tool("aegis_break")
            exits = await alice.call_tool("aegis_exit")
            after = await alice.call_tool("aegis_whoami")
        faults = [e for batch in news.take() for e in batch.events if isinstance(e, Fault)]
    assert broken.is_error and scene.text(broken).startswith("break failed inside aegis")
    assert "secret detail" not in scene.text(broken)
    assert exits.is_error and scene.text(exits).startswith("exit failed inside aegis")
    assert [(f.source, f.error) for f in faults] == [
        ("break", "ZeroDivisionError: secret detail"),
        ("exit", "SystemExit: 3"),
    ]
    assert scene.text(after) == "agent:alice"  # and the run goes on


async def test_what_is_not_for_agents_is_neither_seen_nor_called(scene, mode):
    await scene.spawn("alice")
    async with scene.client("alice", mode) as alice:
        names = {tool.name for tool in (await alice.list_tools()).tools}
        called = await alice.call_tool("aegis_people_only")
        status = await alice.call_tool("aegis_plane_status")
    assert "aegis_add" in names and not {"aegis_people_only", "aegis_plane_status"} & names
    assert called.is_error and "agent:alice may not use 'people only'" in scene.text(called)
    assert status.is_error


async def test_a_profile_narrows_what_is_seen_and_called(project, open_scene, mode):
    (project / ".aegis.yaml").write_text("agents: {narrow: {provider: puppet, verbs: [whoami, 'people *']}}")
    async with open_scene() as scene:
        await scene.spawn("alice")
        await scene.kernel.roster.spawn("narrow", "nick")
        async with scene.client("nick", mode) as nick, scene.client("alice", mode) as alice:
            assert [tool.name for tool in (await nick.list_tools()).tools] == ["aegis_whoami"]
            assert len((await alice.list_tools()).tools) > 5
            assert scene.text(await nick.call_tool("aegis_whoami")) == "agent:nick"
            refused = await nick.call_tool("aegis_add", {"a": 1})
            assert refused.is_error and "may not use 'add'" in scene.text(refused)


async def test_from_handle_is_tolerated_verified_and_never_trusted(scene, mode):
    alice = await scene.spawn("alice")
    await scene.spawn("bob")
    await scene.kernel.roster.rename(alice, "carol")
    async with scene.client("alice", mode) as client:
        for own in ("carol", "alice", "agent:carol", "", None):
            assert scene.text(await client.call_tool("aegis_whoami", {"from_handle": own})) == "agent:carol"
        for other in ("bob", "nobody", 7, ["carol"]):
            refused = await client.call_tool("aegis_whoami", {"from_handle": other})
            assert refused.is_error and "you are 'carol'" in scene.text(refused)


async def test_what_a_call_does_belongs_to_the_turn(scene, mode):
    alice = await scene.spawn("alice")
    post = scene.kernel.post
    letter = post.envelope("agent:bob", alice.id, "hold", trace="01TRACE", hops=4)
    with scene.kernel.bus.subscribe() as news:
        await post.deliver(letter)
        async for batches in news:
            if any(type(e).__name__ == "TurnStarted" for b in batches for e in b.events):
                break
    async with scene.client("alice", mode) as client:
        assert (await client.call_tool("aegis_trace")).structured_content == {"trace": "01TRACE", "hops": 4}
        await alice.interrupt()
        await post.wait_turn(letter.id)
        assert (await client.call_tool("aegis_trace")).structured_content == {"trace": "", "hops": 0}


async def test_each_agent_is_told_who_it_is(scene, mode):
    await scene.spawn("alice")
    await scene.spawn("bob")
    async with scene.client("alice", mode) as alice, scene.client("bob", mode) as bob:
        told = {"alice": alice.instructions, "bob": bob.instructions}
    for handle, text in told.items():
        assert f"You are the agent `{handle}`" in text
        assert "- aegis_add: Add two numbers." in text and "people" in text
        assert "aegis_people_only" not in text
        assert len(text) <= 4_000
        assert scene.driver.seats[handle].primer == [text]


async def test_the_profiles_own_words_are_kept_where_no_compaction_reaches(scene, project, mode):
    (project / ".aegis.yaml").write_text("agents: {wordy: {provider: puppet, prompt: Mind the gap.}}")
    await scene.kernel.config.refresh()
    await scene.kernel.roster.spawn("wordy", "alice")
    async with scene.client("alice", mode) as alice:
        assert alice.instructions.endswith("\n\nMind the gap.")
        assert scene.driver.seats["alice"].primer == [
            "Mind the gap.",
            alice.instructions.removesuffix("\n\nMind the gap."),
        ]


@pytest.mark.parametrize("count", [0, 5, 500])
def test_a_list_of_tools_fits_and_says_what_it_leaves_out(count):
    marks = [SimpleNamespace(tool=f"aegis_tool_{n}") for n in range(count)]
    text = tools([SimpleNamespace(marks=m, help="Do what has to be done with it.") for m in marks], room=3_000)
    assert len(text) <= 3_000
    shown = text.count("- aegis_tool_")
    assert shown == count or f"- and {count - shown} more" in text


class Extra:
    @verb("extra work", tool="aegis_extra_work", for_={"agent"})
    async def work(self, caller: Caller) -> str:
        """Return what is extra."""
        return "extra"


@pytest.mark.parametrize("length", [1, 40])
async def test_a_primer_fits_and_names_the_tools_that_are_there_now(scene, length):
    handle = "x" * length

    async def told(name: str) -> str:
        await scene.kernel.roster.spawn("puppet", name)
        return scene.driver.seats[name].primer[-1]

    before = await told(handle)
    assert len(before) <= LIMIT and f"`{handle}`" in before and before.endswith("`task#TICKET`.")
    scene.kernel.verbs.add("extra", Extra())
    assert "- aegis_extra_work: Return what is extra." in await told("y" * length)
    scene.kernel.verbs.remove("extra")
    assert await told("z" * length) == before.replace(f"`{handle}`", f"`{'z' * length}`")


async def test_the_list_of_tools_is_made_once_for_all_who_may_use_the_same(scene):
    asked: list[Caller] = []

    class Counted:
        def visible(self, caller):
            asked.append(caller)
            return scene.kernel.verbs.visible(caller)

    primers = Primers(Counted())
    ann, bob = (Caller("agent", handle, handle) for handle in ("ann", "bob"))
    few = Caller("agent", "eve", "eve", verbs=("handoff",))
    assert primers.of(ann).replace("`ann`", "`bob`") == primers.of(bob)
    assert "aegis_whoami" in primers.of(ann) and "aegis_whoami" not in primers.of(few)
    assert asked == [ann, few]
