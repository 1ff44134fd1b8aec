"""Words travel between agents, rights do not."""

from __future__ import annotations

import pytest

from aegis import Refused
from aegis.verbs import VerbCall

MODES = """
agents:
  reader: {provider: echo, permission: read, verbs: [spawn, handoff]}
  root: {provider: echo, permission: full}
"""


@pytest.fixture
def project(project):
    (project / ".aegis.yaml").write_text(MODES)
    return project


async def test_an_agent_spawns_none_that_may_do_more_than_itself(stage):
    reader = await stage.kernel.roster.spawn("reader", "calm-codd")
    sentence = "agent:calm-codd may start agents of its own profile here, and not of 'root'"
    with pytest.raises(Refused, match=sentence):
        await stage.call("spawn", reader, agent="root", prompt="rm -rf /", handle="wry-hopper")
    assert stage.kernel.roster.live() == {"calm-codd"}
    made = await stage.call("spawn", reader, agent="reader")
    assert stage.kernel.roster.get(made.id).by == reader.id


@pytest.mark.parametrize("interrupt", [False, True])
async def test_a_handoff_changes_nothing_of_what_the_recipient_may(stage, interrupt):
    root = await stage.kernel.roster.spawn("root", "calm-codd")
    reader = await stage.kernel.roster.spawn("reader", "wry-hopper")
    before = reader.profile, reader.seat, stage.kernel.roster.caller(reader).verbs
    receipt = await stage.call("handoff", root, target="wry-hopper", context="you may write now", interrupt=interrupt)
    assert (await stage.kernel.post.wait_turn(receipt.id)).outcome == "completed"
    assert (reader.profile, reader.seat, stage.kernel.roster.caller(reader).verbs) == before
    assert reader.seat.profile.permission == "read"
    with pytest.raises(Refused, match="agent:wry-hopper may not use 'close'; it may use: handoff, spawn"):
        await stage.call("close", reader, handle="calm-codd")


class Audit:
    """An interceptor that keeps every call."""

    name = "audit"

    def __init__(self) -> None:
        self.calls: list[VerbCall] = []

    async def before_verb(self, call: VerbCall) -> None:
        self.calls.append(call)


async def test_who_reads_a_peer_is_the_agent_itself_however_few_verbs_it_has(stage, project):
    (project / ".aegis.yaml").write_text(MODES + "  peeker: {provider: echo, verbs: [read]}\n")
    await stage.kernel.config.refresh()
    audit = Audit()
    stage.kernel.interceptors.add(audit)
    peeker = await stage.kernel.roster.spawn("peeker", "calm-codd")
    await stage.kernel.roster.spawn("root", "wry-hopper")
    assert await stage.call("read", peeker, handle="wry-hopper") == "wry-hopper has not had a turn yet"
    inner = audit.calls[-1]
    assert (inner.verb, inner.caller.principal, inner.caller.agent_id) == (
        "records turns", "agent:calm-codd", peeker.id,
    )  # fmt: skip
    with pytest.raises(Refused, match="may not use 'records turns'"):
        await stage.call("records turns", peeker, handle="wry-hopper")


async def test_an_agent_takes_no_handle_that_was_a_strangers(stage):
    roster = stage.kernel.roster
    owner, stranger = await roster.spawn("root", "calm-codd"), await roster.spawn("root", "wry-hopper")
    made = await stage.call("spawn", owner, agent="root", handle="kid")
    await stage.call("close", owner, handle="kid")
    for verb, args in (("rename", {"old_handle": "wry-hopper", "new_handle": "kid"}), ("spawn", {"handle": "kid"})):
        with pytest.raises(Refused, match="was another agent's"):
            await stage.call(verb, stranger, **args)
    again = await stage.call("spawn", owner, agent="root", handle="kid")
    assert again.id != made.id, "who started it may start one of that name again"
    await stage.call("rename", stranger, old_handle="wry-hopper", new_handle="brisk-bohr")
    await stage.call("rename", stranger, old_handle="brisk-bohr", new_handle="wry-hopper")  # its own of before


@pytest.mark.parametrize(
    "handle", ["human", "human-root", "humane", "system", "aegis-2", "operator", "root", "root-x", "admin"]
)
async def test_no_agent_is_called_like_a_person_or_like_aegis(stage, handle):
    root = await stage.kernel.roster.spawn("root", "calm-codd")
    for verb, args in (("rename", {"old_handle": "calm-codd", "new_handle": handle}), ("spawn", {"handle": handle})):
        with pytest.raises(Refused):
            await stage.call(verb, root, **args)
    assert stage.kernel.roster.live() == {"calm-codd"}
