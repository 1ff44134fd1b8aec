"""A watcher goes on after the kernel was killed: it misses nothing that is on disk, and hears of the rest as a gap."""

import json
import signal

import trio

from aegis.events import Gap, TurnEnded, TurnStarted
from aegis.project import Project
from aegis_cli.socket_client import connected
from aegis_cli.socket_path import socket_of


async def rows(news, turns):
    """Return (number, event) of what comes until so many turns have ended."""
    found = []
    with trio.fail_after(30):
        async for batches in news:
            found += [(n, e) for b in batches for n, e in enumerate(b.events, b.before + 1)]
            if sum(isinstance(event, TurnEnded) for _, event in found) == turns:
                return found
    raise AssertionError("the kernel ended")


def written(aegis):
    """Return the numbers that are on disk, in order."""
    files = (aegis.root / ".aegis/state/sessions").glob("*.jsonl")
    return sorted(json.loads(line)["number"] for file in files for line in file.read_text().splitlines())


async def run(aegis, *words):
    return await trio.to_thread.run_sync(aegis.run, *words)


async def test_a_client_goes_on_where_it_was_in_a_kernel_that_was_killed_and_started_again(aegis):
    with aegis.serving() as server:
        await run(aegis, "spawn", "scripted", "--handle", "ada")
        async with connected(str(socket_of(Project(aegis.root)))) as client:
            async with client.watch() as news:
                await run(aegis, "send", "ada", "hello", "--wait")
                seen = await rows(news, 1)
            last = seen[-1][0]
            await run(aegis, "send", "ada", "hello again", "--wait")
            aegis.eventually(lambda: len(written(aegis)) >= 8, "the second turn on disk")
            server.send_signal(signal.SIGKILL)
            with trio.fail_after(30):
                await client.ended.wait()
    missed = [n for n in written(aegis) if n > last]
    with aegis.serving():
        async with connected(str(socket_of(Project(aegis.root)))) as client:
            assert (await client.snapshot())["number"] > max(missed)
            async with client.watch(last) as news:
                await run(aegis, "send", "ada", "and again", "--wait")
                seen = await rows(news, 2)
    numbers = [n for n, _ in seen]
    assert numbers == sorted(set(numbers)), "each once, in order"
    assert [n for n in numbers if n <= missed[-1] and n in missed] == missed
    assert [event for _, event in seen if isinstance(event, Gap)] == [Gap(0)], "what is not on disk is told once"
    assert sum(isinstance(event, TurnStarted) for _, event in seen) == 2
