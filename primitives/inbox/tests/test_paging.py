"""Much mail: it is read by the page, and what that costs does not grow with what is not shown."""

import pytest

from aegis import Caller, NotFound

BO = Caller("human", "bo")


async def write(stage, count, to="human:bo"):
    """Have so many messages accepted, and return their ids."""
    post, ids = stage.kernel.post, []
    for number in range(count):
        envelope = post.envelope("agent:wry-hopper", to, f"message {number} " + "x" * 300)
        await post.deliver(envelope)
        ids.append(envelope.id)
    return ids


async def cost(stage, verb, **args):
    """Return what a verb returns, and what the ledger was asked to do for it."""
    before = stage.kernel.ledger.counts.copy()
    value = await stage.call(verb, BO, **args)
    return value, stage.kernel.ledger.counts - before


async def test_unread_mail_is_shown_by_the_page_and_read_with_one_short_record(stage):
    ids = await write(stage, 250)
    shown = []
    for size, more in ((100, "(150 more wait; {})"), (100, "(50 more wait; {})"), (50, "")):
        page, spent = await cost(stage, "message inbox")
        assert len(page) == size
        assert str(page).endswith(more.format("`message inbox` shows the next") or "x")
        assert (spent.queries, spent.asides, spent.appends, spent.rows) == (0, 0, 1, 1)
        assert spent.written < 40 * size  # an id and its quotation marks, for each
        shown += [message.id for message in page]
    assert shown == ids
    nothing, spent = await cost(stage, "message inbox")
    assert (nothing, spent.appends) == ([], 0)
    assert {(await stage.call("message show", BO, message=one)).state for one in (ids[0], ids[1], ids[-1])} == {"ended"}
    assert {message.state for message in await stage.call("message list", BO, count=250)} == {"ended"}


async def test_what_was_read_with_others_stays_read(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        envelopes = [kernel.post.envelope("system", "human:bo", f"{n}") for n in range(5)]
        for envelope in envelopes:
            await kernel.post.deliver(envelope)
        assert len(await kernel.verbs.call(BO, "message inbox", {"count": 3})) == 3
    async with kernel_with(**plugins) as kernel:
        states = [kernel.post.receipt(envelope.id).state for envelope in envelopes]
        assert states == ["ended", "ended", "ended", "accepted", "accepted"]
        assert [message.body for message in await kernel.verbs.call(BO, "message inbox")] == ["3", "4"]


async def test_who_keeps_mail_unread_goes_on_after_the_last_one(stage):
    ids = await write(stage, 5)
    first, _ = await cost(stage, "message inbox", keep=True, count=2)
    assert str(first).endswith(f"(3 more wait; `message inbox --keep --after {first[-1].id}` shows the next)")
    rest, spent = await cost(stage, "message inbox", keep=True, after=first[-1].id)
    assert [message.id for message in (*first, *rest)] == ids
    assert spent.appends == 0
    await stage.call("message inbox", BO, after=ids[2])
    assert [message.id for message in await stage.call("message inbox", BO)] == ids[:3]
    with pytest.raises(NotFound, match="no message '1' waits for you; leave `after` out"):
        await stage.call("message inbox", BO, after="1")


async def test_a_list_of_messages_is_two_questions_however_long_it_is(stage):
    await write(stage, 30)
    for count in (5, 30):
        listed, spent = await cost(stage, "message list", count=count)
        assert len(listed) == count
        assert (spent.queries, spent.asides, spent.rows_read) == (0, 2, 2 * count)
    assert [message.body.split()[1] for message in listed] == [f"{n}" for n in range(29, -1, -1)]


async def test_dead_letters_are_found_among_many_others(stage):
    await write(stage, 30)
    nothing, spent = await cost(stage, "message list", dead=True)
    assert (nothing, spent.rows_read) == ([], 0)


async def test_letters_of_one_recipient_are_found_among_those_of_all(stage):
    await write(stage, 20, "human:ann")
    [one] = await write(stage, 1)
    assert [letter.envelope.id for letter in stage.kernel.post.letters(str(BO))] == [one]
    assert list(stage.kernel.post.mailbox(str(BO)).held) == [one]
    await stage.call("message inbox", BO)
    assert not stage.kernel.post.mailbox(str(BO)).held
    assert len(stage.kernel.post.letters()) == 20
