"""What the crash harness runs: letters to a carrier, every receipt noted, the carrier's folder over there survives."""

from __future__ import annotations

import sys
from pathlib import Path

import trio
from crash_scenario import note, noted

from aegis.app import Kernel, open_kernel
from aegis.testing.carrier import FolderCarrier

SAM = "human:sam"


async def sent(kernel: Kernel, notes: Path, body: str) -> str:
    """Deliver a letter, and note that it was accepted."""
    envelope = kernel.post.envelope(SAM, "post:ann@mars", body, sender_id=SAM)
    receipt = await kernel.post.deliver(envelope)
    note(notes / "acks", id=receipt.id, body=body)
    return receipt.id


async def day(disk: Path, notes: Path) -> None:
    """Send what goes, what is refused, and what waits because the way is cut."""
    carrier = FolderCarrier(notes / "there")
    async with open_kernel(disk, plugins={"post": carrier}, environment={}) as kernel:
        for body in ("one", "refuse", "two"):
            await kernel.post.wait_turn(await sent(kernel, notes, body))
        carrier.cut = True
        last = [await sent(kernel, notes, body) for body in ("three", "refuse")]
        carrier.mend()
        for letter in last:
            await kernel.post.wait_turn(letter)
        await kernel.plugins.leave("post")
        await sent(kernel, notes, "four")


async def recovered(disk: Path, notes: Path) -> None:
    """Open what was left, and hold it to what was acknowledged."""
    there = notes / "there"
    async with open_kernel(disk, plugins={"post": FolderCarrier(there)}, environment={}) as kernel:
        with trio.fail_after(20):
            for letter in kernel.post.letters("post:ann@mars"):
                await letter.over.wait()
        for ack in noted(notes / "acks"):
            state = kernel.post.receipt(ack["id"]).state
            refused = ack["body"] == "refuse"
            assert state == ("dead" if refused else "ended"), f"{ack['body']} was accepted and is {state}"
            assert refused or (there / ack["id"]).exists(), f"{ack['body']} never arrived"
            told = [x for x in kernel.post.letters(SAM) if x.envelope.in_reply_to == ack["id"]]
            assert len(told) == refused, f"the sender of {ack['body']} was told {len(told)} times"
        for file in there.iterdir() if there.exists() else ():
            assert kernel.post.find(file.name)[1].state == "ended", "what arrived is not known to have"


if __name__ == "__main__":
    trio.run(day, Path(sys.argv[1]), Path(sys.argv[2]))
