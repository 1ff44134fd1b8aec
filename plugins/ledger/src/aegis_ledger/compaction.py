"""Taking out what is over: records about a key go once the last one says that nothing more comes, and it is old.

A state is the fold of a book, so nothing is taken out that no snapshot has. What is deleted goes in small steps between
the commits of others; then the file gives back the room, in steps, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from aegis_ledger.book import Keeper, Slot, encode

if TYPE_CHECKING:
    from aegis_ledger.ledger import Ledger

_KEYS, _PAGES = 200, 2_000  # of one step
_OVER = """
select key from (select key, kind, at, max(seq) as last from records where book=? and seq<=? group by key)
where at<? and kind in ({})
"""
_ALONE = "select seq from records where book=? and seq<=? and at<?"
_DELETE_KEYS = "delete from records where book=? and seq<=? and key in ({})"
_DELETE = "delete from records where seq in ({})"


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was taken out, in records, and how large the file was and is, in bytes."""

    records: int
    before: int
    after: int


async def compact(ledger: Ledger, until: str, tell: Callable[[str], object] = lambda text: None) -> Compacted:
    """Take out what was over before a time (ISO), and give its room back; `tell` hears how far it is."""
    before, gone = ledger.size, 0
    for book, keeper in list(ledger.keepers.items()):
        state, upto = keeper.state()
        if not upto:
            continue
        await ledger.store(Slot([], (book, upto, encode(state))))
        taken = await _take_out(ledger, book, keeper, upto, until)
        gone += taken
        if taken:
            tell(f"{book}: {taken:,} records taken out")
    await _give_back(ledger, tell)
    return Compacted(gone, before, ledger.size)


async def _take_out(ledger: Ledger, book: str, keeper: Keeper, upto: int, until: str) -> int:
    if keeper.ends is None:
        found = await ledger.ask(_ALONE, book, upto, until)
        steps = ((_DELETE.format(_marks(some)), some) for some in _parts(found))
    else:
        kinds = tuple(keeper.ends)
        held = set(keeper.held())
        over = [
            key for key in await ledger.ask(_OVER.format(_marks(kinds)), book, upto, until, *kinds) if key not in held
        ]
        steps = ((_DELETE_KEYS.format(_marks(some)), (book, upto, *some)) for some in _parts(over))
    gone = 0
    for sql, args in steps:
        slot = Slot([], work=((sql, tuple(args)),))
        await ledger.store(slot)
        gone += slot.changed
        await trio.lowlevel.checkpoint()
    return gone


async def _give_back(ledger: Ledger, tell: Callable[[str], object]) -> None:
    """Have the file as small as what is in it."""
    mode = await ledger.ask("pragma auto_vacuum")
    if mode != [2]:  # made by an older version: once everything is written anew, and from then on in steps
        tell("the file is written anew once, and takes no records meanwhile")
        await ledger.store(Slot([], work=(("pragma auto_vacuum=incremental", ()), ("vacuum", ())), alone=True))
    while (await ledger.ask("pragma freelist_count"))[0]:
        await ledger.store(Slot([], work=((f"pragma incremental_vacuum({_PAGES})", ()),), alone=True))
        await trio.lowlevel.checkpoint()
    await ledger.store(Slot([], work=(("pragma wal_checkpoint(truncate)", ()),), alone=True))


def _parts(found: list[Any]) -> Iterator[tuple[Any, ...]]:
    for begin in range(0, len(found), _KEYS):
        yield tuple(found[begin : begin + _KEYS])


def _marks(values: Iterable[Any]) -> str:
    return ",".join("?" for _ in values)
