"""What a kill may take of a transcript: one moment, and nothing that was answered."""

from __future__ import annotations

import shutil

import trio

import aegis_records.plugin
from aegis import Caller, open_kernel
from aegis.events import Text, TurnStarted
from aegis.testing.echo import EchoPlugin
from aegis_records.jsonlines import EVERY, read_lines

ANNA = Caller("human", "anna")


async def test_a_kill_loses_the_last_moment_of_a_transcript_and_no_mail(project, tmp_path, clock):
    plugins = {"echo": EchoPlugin(), "records": aegis_records.plugin}
    async with open_kernel(project, plugins=plugins, environment={}, clock=clock) as kernel:
        agent = await kernel.roster.spawn("echo", "calm-codd")
        file = project / f".aegis/state/sessions/{agent.id}.jsonl"
        await trio.sleep(2 * EVERY)
        clock.trio.rate = 0
        kernel.bus.publish(agent.id, TurnStarted("t"), Text("kept"))
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(EVERY)
        with trio.fail_after(10):
            clock.trio.rate = 1
            while not (file.exists() and b"kept" in file.read_bytes()):
                await trio.lowlevel.checkpoint()
        clock.trio.rate = 0
        kernel.bus.publish(agent.id, Text("of the last moment"))
        receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", "human:bo", "a letter"))
        shutil.copytree(project, tmp_path / "killed")  # what a kill leaves, when everything else is forgotten
        clock.trio.rate = 1
    assert b"of the last moment" in file.read_bytes(), "without a kill nothing is lost"
    lines = list(read_lines(tmp_path / "killed/.aegis/state/sessions" / file.name))
    assert [line["event"].get("text", "") for line in lines[-2:]] == ["", "kept"]
    async with open_kernel(tmp_path / "killed", plugins=plugins, environment={}, clock=clock) as kernel:
        text = await kernel.verbs.call(ANNA, "transcript", {"handle": "calm-codd"})
        assert text.endswith("kept")
        envelope, _ = kernel.post.find(receipt.id)
        assert envelope.body == "a letter"
