"""Mail to an address of any kind is kept until a carrier takes it on, and what it says becomes of it is what is so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from carrier_scenario import SAM, recovered

from aegis.app import Kernel
from aegis.errors import AegisError, Refused
from aegis.mailboxes import MAX_HOPS
from aegis.testing.carrier import CarrierContract, FolderCarrier
from aegis.testing.crash import walk

SCENARIO = [sys.executable, str(Path(__file__).with_name("carrier_scenario.py"))]


class TestFolderCarrier(CarrierContract):
    """The carrier of the kit keeps the contract."""

    @pytest.fixture
    def carrier(self, tmp_path: Path) -> tuple[str, object]:
        return "post", FolderCarrier(tmp_path / "there")

    @pytest.fixture
    def address(self) -> str:
        return "post:ann@mars"

    def arrived(self, carrier: object, envelope_id: str) -> int:
        return len(list(carrier[1].folder.glob(envelope_id)))  # type: ignore[index]

    def cut(self, carrier: object) -> None:
        carrier[1].cut = True  # type: ignore[index]

    def mend(self, carrier: object) -> None:
        carrier[1].mend()  # type: ignore[index]


@pytest.mark.skipif(sys.platform != "linux", reason="the crash harness works on Linux only")
@pytest.mark.timeout(300)
def test_no_letter_is_lost_whichever_write_the_kernel_dies_at() -> None:
    found = walk(SCENARIO, lambda disk, notes: trio.run(recovered, disk, notes))
    assert not found.failures, str(found)
    assert len(found.syncs) > 12, "the scenario writes less than it should"


@pytest.fixture
def plugins() -> dict[str, object]:
    return {}


async def letter(kernel: Kernel, to: str, **more: object) -> str:
    return (await kernel.post.deliver(kernel.post.envelope(SAM, to, "x", sender_id=SAM, **more))).id


async def test_a_carrier_gets_every_address_of_its_kind_and_no_other_in_order(kernel: Kernel) -> None:
    sent = [await letter(kernel, to) for to in ("peer:ann@mars", "post:bob", "peer:bob@moon")]
    outbox = kernel.post.carry("peer")
    first = await outbox.take()
    assert [e.id for e in first] == [sent[0], sent[2]]
    later = await letter(kernel, "peer:ann@mars")
    outbox.put_back(*first)
    assert [e.id for e in await outbox.take()] == [sent[0], sent[2], later]


async def test_what_is_not_in_its_hands_a_carrier_says_nothing_of(kernel: Kernel) -> None:
    await letter(kernel, "peer:ann@mars")
    outbox = kernel.post.carry("peer")
    [envelope] = await outbox.take()
    await outbox.delivered(envelope, "failed", "it was busy")
    assert (await kernel.post.wait_turn(envelope.id)).outcome == "failed"
    assert str(kernel.post.receipt(envelope.id)) == "turn of peer:ann@mars failed: it was busy"
    assert kernel.post.letters(SAM) == [], "the other side tells its sender itself"
    with pytest.raises(Refused, match="not in the hands of the carrier of 'peer'"):
        await outbox.failed(envelope, "late")


async def test_a_kind_has_one_carrier(kernel: Kernel) -> None:
    kernel.post.carry("peer")
    with pytest.raises(AegisError, match="carrier of mail to 'peer'"):
        kernel.post.carry("peer")


async def test_hops_end_here_too(kernel: Kernel) -> None:
    with pytest.raises(Refused, match="since a person last spoke"):
        await letter(kernel, "peer:ann@mars", hops=MAX_HOPS + 1)


async def test_what_comes_back_in_pieces_is_given_again_oldest_first(kernel: Kernel) -> None:
    sent = [await letter(kernel, "peer:ann@mars") for _ in range(3)]
    outbox = kernel.post.carry("peer")
    for envelope in await outbox.take():
        outbox.put_back(envelope)
    assert [e.id for e in await outbox.take()] == sent


async def test_while_it_is_stored_what_became_of_a_letter_nothing_else_is_said_of_it(kernel: Kernel) -> None:
    await letter(kernel, "peer:ann@mars")
    outbox = kernel.post.carry("peer")
    [envelope] = await outbox.take()
    for say in (outbox.in_flight, outbox.delivered):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, envelope)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Refused, match="not in the hands"):
                outbox.put_back(envelope)
            with pytest.raises(Refused, match="not in the hands"):
                await outbox.failed(envelope, "twice")
    assert (await kernel.post.wait_turn(envelope.id)).outcome == "completed"
    assert kernel.post.letters() == []


async def test_a_letter_on_its_way_can_be_put_back(kernel: Kernel) -> None:
    await letter(kernel, "peer:ann@mars")
    outbox = kernel.post.carry("peer")
    [envelope] = await outbox.take()
    await outbox.in_flight(envelope)
    outbox.put_back(envelope)
    assert await outbox.take() == [envelope]
