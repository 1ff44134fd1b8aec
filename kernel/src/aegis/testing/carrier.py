"""What every carrier keeps, and a carrier for tests that posts into a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from aegis.app import Kernel
from aegis.envelope import Envelope, Receipt
from aegis.errors import Refused
from aegis.hookspecs import hookimpl
from aegis.outbox import Outbox
from aegis.primitive import Primitive
from aegis.testing.plugin import Opened


class FolderCarrier:
    """Carries `KIND:…` into a folder, one file for each envelope; what is there already is not written again.

    While `cut` is set the way is cut: what it has it puts back. A body of `refuse` is refused over there.
    """

    def __init__(self, folder: Path, kind: str = "post") -> None:
        self.name, self.kind, self.folder = kind, kind, folder
        self.cut, self.mended = False, trio.Event()
        self.seen: list[str] = []
        self._kernel: Kernel | None = None

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Primitive]:
        """Offer itself, for this kernel."""
        self._kernel = kernel
        return [self]

    def restore(self) -> None:
        """Carry what waits, from the start."""
        assert self._kernel
        self.outbox = self._kernel.post.carry(self.kind)

    async def run(self) -> None:
        """Carry on until cancelled."""
        while True:
            envelopes = await self.outbox.take()
            if self.cut:
                self.outbox.put_back(*envelopes)
                await self.mended.wait()
                continue
            await self.outbox.in_flight(*envelopes)
            for envelope in envelopes:
                await self._carry(self.outbox, envelope)

    async def _carry(self, outbox: Outbox, envelope: Envelope) -> None:
        self.seen.append(envelope.id)
        if envelope.body == "refuse":
            await outbox.failed(envelope, "nobody lives there")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / envelope.id).open("w", encoding="utf-8") as file:  # the same id again changes nothing
            json.dump({"to": envelope.recipient, "body": envelope.body}, file)
        await outbox.delivered(envelope)

    def mend(self) -> None:
        """Open the way again."""
        self.cut = False
        self.mended.set()


class CarrierContract:
    """What every carrier keeps. Give `carrier` (a plugin's name and itself), `address`, and `arrived` and `cut`.

    `arrived(id)` says how often the envelope's effect is to be seen where it went; `cut()` closes the way there and
    `mend()` opens it again.
    """

    SAM = "human:sam"

    @pytest.fixture
    def carrier(self) -> tuple[str, object]:
        """Return the plugin's name and the plugin."""
        raise NotImplementedError

    @pytest.fixture
    def address(self) -> str:
        """Return an address it carries to."""
        raise NotImplementedError

    @pytest.fixture
    def refused(self) -> str:
        """Return a body that is refused where it goes."""
        return "refuse"

    def arrived(self, carrier: object, envelope_id: str) -> int:
        """Return how often the envelope took effect."""
        raise NotImplementedError

    def cut(self, carrier: object) -> None:
        """Close the way."""
        raise NotImplementedError

    def mend(self, carrier: object) -> None:
        """Open it again."""
        raise NotImplementedError

    @pytest.fixture
    def plugins(self, carrier: tuple[str, object]) -> dict[str, object]:
        """Only the carrier."""
        return dict([carrier])

    async def send(self, kernel: Kernel, address: str, body: str = "hello") -> Receipt:
        """Deliver a person's message to the address."""
        return await kernel.post.deliver(kernel.post.envelope(self.SAM, address, body, sender_id=self.SAM))

    async def test_it_carries_and_says_how_it_ended(self, kernel: Kernel, carrier: object, address: str) -> None:
        receipt = await self.send(kernel, address)
        assert (receipt.state, receipt.recipient) == ("accepted", address)
        with trio.fail_after(20):
            ended = await kernel.post.wait_turn(receipt.id)
        assert ended.outcome == "completed"
        assert kernel.post.receipt(receipt.id).state == "ended"
        assert self.arrived(carrier, receipt.id) == 1

    async def test_what_is_refused_there_comes_back_to_its_sender(
        self, kernel: Kernel, address: str, refused: str
    ) -> None:
        receipt = await self.send(kernel, address, refused)
        with trio.fail_after(20):
            await kernel.post.wait_turn(receipt.id)
        now = kernel.post.receipt(receipt.id)
        assert now.state == "dead" and now.reason
        [told] = [x.envelope for x in kernel.post.letters(self.SAM)]
        assert told.in_reply_to == receipt.id and now.reason in told.body

    async def test_what_cannot_go_now_waits(self, kernel: Kernel, carrier: object, address: str) -> None:
        self.cut(carrier)
        receipt = await self.send(kernel, address)
        await trio.testing.wait_all_tasks_blocked()
        assert kernel.post.receipt(receipt.id).state in ("accepted", "injected")
        self.mend(carrier)
        with trio.fail_after(20):
            assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
        assert self.arrived(carrier, receipt.id) == 1

    async def test_when_it_leaves_mail_waits_and_goes_once_it_is_back(
        self, kernel: Kernel, carrier: tuple[str, object], address: str
    ) -> None:
        await kernel.plugins.leave(carrier[0])
        receipt = await self.send(kernel, address)
        kind = address.partition(":")[0]
        assert f"waits until something carries mail to {kind}:" in str(receipt)
        assert f"waits until something carries mail to {kind}:" in str(kernel.post.receipt(receipt.id))
        assert kind not in kernel.post.carriers
        await kernel.plugins.enter(*carrier)
        assert kind in kernel.post.carriers
        with trio.fail_after(20):
            assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
        assert self.arrived(carrier, receipt.id) == 1

    async def test_what_was_in_flight_when_it_left_is_given_again(
        self, kernel: Kernel, carrier: tuple[str, object], address: str
    ) -> None:
        await kernel.plugins.leave(carrier[0])
        receipt = await self.send(kernel, address)
        outbox = kernel.post.carry(address.partition(":")[0])  # another, which leaves with the letter in its hands
        [envelope] = await outbox.take()
        await outbox.in_flight(envelope)
        assert kernel.post.receipt(receipt.id).state == "injected"
        kernel.post.carriers.remove("")
        await kernel.plugins.enter(*carrier)
        with trio.fail_after(20):
            assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
        assert self.arrived(carrier, receipt.id) == 1
        with pytest.raises(Refused, match="has left"):
            await outbox.delivered(envelope)

    async def test_what_waited_is_carried_after_a_restart(
        self, kernel_with: Opened, carrier: tuple[str, object], address: str
    ) -> None:
        async with kernel_with() as kernel:
            waiting = await self.send(kernel, address)
        async with kernel_with(**dict([carrier])) as kernel:
            with trio.fail_after(20):
                assert (await kernel.post.wait_turn(waiting.id)).outcome == "completed"
            assert self.arrived(carrier, waiting.id) == 1
