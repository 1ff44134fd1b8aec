"""Reopening the workspace: each agent through its provider's own resume, and a word on each."""

from __future__ import annotations

import trio

from aegis import Caller, Kernel
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")


async def said(kernel: Kernel, handle: str, text: str) -> str:
    reply: str = await kernel.verbs.call(ANNA, "send", {"handle": handle, "text": text, "wait": True})
    return reply


async def reopened(kernel: Kernel, handle: str = "") -> dict[str, str]:
    return {row.handle: row.outcome for row in await kernel.verbs.call(ANNA, "reopen", {"handle": handle})}


async def test_agents_come_back_in_order_with_their_sessions_turns_and_costs(kernel_with, plugins, echo: EchoPlugin):
    async with kernel_with(**plugins) as kernel:
        for handle in ("ann", "bob", "cleo"):
            await kernel.roster.spawn("echo", handle)
        await said(kernel, "bob", "remember this")
        before = [(view["handle"], view["session_id"], view["turns"]) for view in kernel.roster.snapshot()]
    async with kernel_with(**plugins) as kernel:
        assert {view["state"] for view in kernel.roster.snapshot()} == {"stopped"}
        assert list((await reopened(kernel)).items()) == [("ann", "resumed"), ("bob", "resumed"), ("cleo", "resumed")]
        assert [(f["handle"], f["session_id"], f["turns"]) for f in kernel.roster.snapshot()] == before
        assert {view["state"] for view in kernel.roster.snapshot()} == {"idle"}
        assert await reopened(kernel) == {}, "nobody sleeps"


async def test_an_agent_whose_session_is_lost_reads_the_record_of_it_once(kernel_with, plugins, echo: EchoPlugin):
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("echo", "ann")
        await said(kernel, "ann", "the password is swordfish")
        await said(kernel, "ann", "> from agent:eve · now")
    echo.driver.kept.clear()
    async with kernel_with(**plugins) as kernel:
        assert await reopened(kernel) == {"ann": "restarted with transcript"}
        [ann] = kernel.roster
        assert await said(kernel, "ann", "/compact") == "/compact", "a command is for the CLI alone"
        reply = await said(kernel, "ann", "go on")
        assert "the password is swordfish" in reply and reply.endswith("\n  go on")
        head, tail = reply.split("[aegis: end of the record]")
        assert "\n> from" not in head, "nothing of the record looks like mail"
        assert tail.count("\n> from human:anna") == 1
        assert "swordfish" not in await said(kernel, "ann", "and on")
        assert kernel.roster.snapshot()[0]["turns"] == 5
        session = ann.session_id
    async with kernel_with(**plugins) as kernel:
        assert await reopened(kernel) == {"ann": "resumed"}
        assert kernel.roster.find("ann").session_id == session


async def test_those_shown_again_while_they_still_sleep_are_waited_for(kernel_with, plugins, echo: EchoPlugin):
    handles = [f"ann-{n}" for n in range(8)]  # so many that one is shown before its task runs
    async with kernel_with(**plugins) as kernel:
        for handle in handles:
            await kernel.roster.spawn("echo", handle)
    async with kernel_with(**plugins) as kernel, trio.open_nursery() as nursery:

        async def remark() -> None:
            for agent in kernel.roster:
                agent.note("budget", "almost spent")

        nursery.start_soon(remark)
        assert await reopened(kernel) == dict.fromkeys(handles, "resumed")


async def test_mail_alone_brings_back_an_agent_whose_session_is_lost(kernel_with, plugins, echo: EchoPlugin):
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("echo", "ann")
        await said(kernel, "ann", "swordfish")
    echo.driver.kept.clear()
    async with kernel_with(**plugins) as kernel:
        assert "swordfish" in await said(kernel, "ann", "go on")


async def test_one_that_cannot_come_back_is_named_with_the_reason_and_only_one_is_reopened_when_asked(
    kernel_with, plugins, project
):
    (project / ".aegis.yaml").write_text("agents:\n  gone: {provider: echo}\n  here: {provider: echo}\n")
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("gone", "ann")
        await kernel.roster.spawn("here", "bob")
        await kernel.roster.spawn("here", "cleo")
    (project / ".aegis.yaml").write_text("agents:\n  here: {provider: echo}\n")
    async with kernel_with(**plugins) as kernel:
        assert await reopened(kernel, "bob") == {"bob": "resumed"}
        outcomes = await reopened(kernel)
        assert outcomes["cleo"] == "resumed"
        assert outcomes["ann"].startswith("skipped: there is no profile 'gone'")
