"""Connections that are served side by side, each with its share: what goes wrong in one ends that one."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from aegis_processes.cancellation import root_cause

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_BURST = 4  # times the share of those who have not said who they are may be there in their first moment
_PAUSE = 0.1  # seconds before the next attempt to accept a connection for which there was no room


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be: of one owner, of those who have not said who they are, and of all owners."""

    owned: int = 64
    silent: int = 32
    total: int = 100_000
    patience: float = 10.0  # seconds in which a connection must say who it is
    fresh: float = 1.0  # seconds in which one need not give way yet: many may come at once, and be honest


class Peer:
    """One connection; nobody's until `known` is called."""

    def __init__(self, connections: Connections, stream: trio.SocketStream, patience: float) -> None:
        self._connections, self.stream = connections, stream
        self.scope = trio.CancelScope(deadline=trio.current_time() + patience)
        self.owner, self.busy, self.since = "", 0, trio.current_time()

    def known(self, owner: str) -> bool:
        """Say whose it is; False when there are as many as there may be, and its owner has no idle one to give up."""
        return owner == self.owner or self._connections.adopt(self, owner)

    def close(self) -> None:
        """End the connection, whatever waits for it."""
        self.scope.cancel()
        self.stream.socket.close()


class Connections:
    """All connections of one listener: those of strangers give way to one another, those of owners to nobody else's."""

    def __init__(self, limits: Callable[[], ConnectionLimits] = ConnectionLimits, reserve: int = 0) -> None:
        """Hold by these limits, and keep `reserve` descriptors for when the process has no other left."""
        self._limits, self._reserve, self._kept = limits, reserve, list[int]()
        self._silent: dict[Peer, None] = {}  # the oldest first
        self._owned: dict[str, dict[Peer, None]] = {}

    def __len__(self) -> int:
        return len(self._silent) + sum(map(len, self._owned.values()))

    def of(self, owner: str) -> int:
        """Return how many connections the owner has; those of nobody for an empty name."""
        return len(self._owned.get(owner, ()) if owner else self._silent)

    def enter(self, stream: trio.SocketStream) -> Peer:
        """Take a new connection in; the oldest of those that have not said who they are gives way to it."""
        limits = self._limits()
        old = trio.current_time() - limits.fresh
        while (silent := len(self._silent)) >= limits.silent:
            if silent < _BURST * limits.silent and next(iter(self._silent)).since > old:
                break
            self.drop_oldest()
        self._silent[peer := Peer(self, stream, limits.patience)] = None
        return peer

    def exit(self, peer: Peer) -> None:
        """Forget a connection that has ended."""
        self._silent.pop(peer, None)
        self._disown(peer)
        self.refill()

    def adopt(self, peer: Peer, owner: str) -> bool:
        """Count the connection as its owner's, who loses the oldest idle one when there are too many."""
        mine = self._owned.get(owner, {})
        limits = self._limits()
        if len(mine) >= limits.owned or sum(map(len, self._owned.values())) >= limits.total:
            idle = next((other for other in mine if not other.busy), None)
            if idle is None:
                return False
            self._disown(idle)
            idle.close()
        self._silent.pop(peer, None)
        self._disown(peer)
        self._owned.setdefault(owner, {})[peer] = None
        peer.owner, peer.scope.deadline = owner, float("inf")
        return True

    def _disown(self, peer: Peer) -> None:
        mine = self._owned.get(peer.owner, {})
        mine.pop(peer, None)
        if not mine:
            self._owned.pop(peer.owner, None)

    def close(self) -> None:
        """End every connection, whatever it waits for, and give the reserve back."""
        for peer in [*self._silent, *(peer for mine in self._owned.values() for peer in mine)]:
            peer.close()
        while self._kept:
            os.close(self._kept.pop())

    def refill(self) -> None:
        """Take descriptors into the reserve, as far as there are any."""
        with suppress(OSError):
            while len(self._kept) < self._reserve:
                self._kept.append(os.open(os.devnull, os.O_RDONLY))

    def spend(self) -> bool:
        """Free a descriptor of the reserve; False if there is none."""
        if self._kept:
            os.close(self._kept.pop())
            return True
        return False

    def drop_oldest(self) -> None:
        """Close the oldest connection of nobody, if there is one."""
        if oldest := next(iter(self._silent), None):
            del self._silent[oldest]
            oldest.close()


async def serve_connections(
    listener: trio.SocketListener,
    serve: Callable[[trio.SocketStream, Peer], Awaitable[None]],
    failed: Callable[[Exception], object],
    connections: Connections | None = None,
    nursery: trio.Nursery | None = None,
) -> None:
    """Serve each connection until cancelled; one that fails is closed, and `failed` is told unless the peer hung up.

    `serve` calls `Peer.known` once it knows who speaks; a connection of which it does not know in time is closed.
    Connections are served in the `nursery`, if there is one, and then outlive this call.
    """
    connections = Connections() if connections is None else connections
    connections.refill()

    async def alone(stream: trio.SocketStream, peer: Peer) -> None:
        try:
            with peer.scope:
                async with stream:
                    if not peer.scope.cancel_called:
                        await serve(stream, peer)
        except Exception as error:  # noqa: BLE001 - a connection must not end the others, nor whoever listens
            if not isinstance(cause := root_cause(error), GONE):
                failed(cause if isinstance(cause, Exception) else error)
        finally:
            connections.exit(peer)

    async def accept(nursery: trio.Nursery) -> None:
        while True:
            stream = await _accepted(listener, connections, failed)
            nursery.start_soon(alone, stream, connections.enter(stream))

    if nursery:
        await accept(nursery)
    async with trio.open_nursery() as own:
        await accept(own)


async def _accepted(
    listener: trio.SocketListener, connections: Connections, failed: Callable[[Exception], object]
) -> trio.SocketStream:
    """Return the next connection; while the system has no room for one, room is made, or waited for."""
    told = False
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            await trio.lowlevel.wait_readable(listener.socket)  # it fails like that also when nobody waits
            if connections.spend():
                continue
            if not told:
                failed(OSError(error.errno, f"no connection can be accepted now: {os.strerror(error.errno or 0)}"))
                told = True
            await trio.sleep(_PAUSE)  # in which those who have just come may say who they are
            connections.drop_oldest()
