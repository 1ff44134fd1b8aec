"""Collects the answers to open broadcasts: each is stored as it comes, and each broadcast ends exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import trio

from aegis import Kernel, Refused
from aegis.agent import INTERRUPTED
from aegis.bus import Batch, Subscription
from aegis.clock import stamp
from aegis.events import AgentChanged, Gap, TurnEnded
from aegis.ledger import Draft
from aegis.mailbox import Letter
from aegis_group.store import Store
from aegis_group.values import NEXT, Broadcast, Reply, Status

_STATUS: dict[str, Status] = {"completed": "done", "truncated": "done", "cancelled": "canceled", "interrupted": "lost"}


class Collector:
    """Sees every open broadcast to its end."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel, self._store = kernel, store
        self._nursery: trio.Nursery | None = None
        self._changed, self._moved = trio.Event(), trio.Event()
        self._own: dict[str, TurnEnded] = {}  # agent that is asked → its last turn that no mail began
        self._ending: set[str] = set()
        store.changed.append(lambda broadcast: self._move())

    async def run(self) -> None:
        """Go on with the broadcasts that are open, and begin each new one, until cancelled."""
        self._ending.clear()
        with self._kernel.bus.subscribe(only=self._concerns) as news:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._follow, news)
                for broadcast in list(self._store.open.values()):
                    if broadcast.callback and (asker := self._kernel.roster.get(broadcast.by)):
                        asker.expect(f"broadcast {broadcast.id}", f"the answers of {broadcast.name}")
                    self.begin(broadcast)
                await trio.sleep_forever()

    def begin(self, broadcast: Broadcast) -> None:
        """See this broadcast to its end."""
        if self._nursery:
            self._nursery.start_soon(self._collect, broadcast)

    @property
    def change(self) -> trio.Event:
        """What is set when a broadcast changes next; take it before you look at one."""
        return self._moved

    async def moved(self) -> None:
        """Wait until some broadcast has changed."""
        await self._moved.wait()

    def _move(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    def _concerns(self, batch: Batch) -> bool:
        """Say whether the collector must hear it: while no broadcast is open nothing does, and nothing is kept."""
        if not self._store.open:
            self._own.clear()
            return False
        return any(isinstance(event, AgentChanged | TurnEnded) for event in batch.events)

    async def _follow(self, news: Subscription) -> None:
        async for batches in news:
            asked = {reply.agent for broadcast in self._store.open.values() for reply in broadcast.open}
            self._own = {agent: ended for agent, ended in self._own.items() if agent in asked}
            for agent_id, events, _ in batches:
                if agent_id in asked and (ended := [e for e in events if isinstance(e, TurnEnded) and not e.turn]):
                    self._own[agent_id] = ended[-1]
            if any(isinstance(event, AgentChanged | Gap) for batch in batches for event in batch.events):
                self._changed.set()
                self._changed = trio.Event()

    async def _collect(self, broadcast: Broadcast) -> None:
        deadline = datetime.fromisoformat(broadcast.deadline)
        left = (deadline - self._kernel.clock.now()).total_seconds()
        whole = (deadline - datetime.fromisoformat(broadcast.started)).total_seconds()  # however the clock is set
        with trio.move_on_after(min(max(left, 0), whole)):
            async with trio.open_nursery() as nursery:
                for reply in broadcast.open:
                    nursery.start_soon(self._member, broadcast, reply)
                while (now := self._store.broadcast(broadcast.id)).open and not now.over:
                    await self.moved()
                nursery.cancel_scope.cancel()
        now = self._store.broadcast(broadcast.id)
        await self.end(now, "deadline" if now.open else "all")

    async def _member(self, broadcast: Broadcast, reply: Reply) -> None:
        """Store the member's answer: of the turn that had the question, or of the turns that followed from it."""
        post = self._kernel.post
        turns = [await post.wait_turn(reply.envelope)]
        trace = broadcast.trace or reply.envelope  # a message without one begins one
        awaited = set[str]()
        while (agent := self._kernel.roster.get(reply.agent)) and turns[-1].outcome == "completed":
            awaited |= {what.rpartition(" ")[2] for what in agent.expecting}
            coming = [x.envelope for x in post.letters(agent.id) if x.envelope.task_id]  # results, not questions
            if ours := [e.id for e in coming if e.trace == trace or e.task_id in awaited]:
                turns.append(await post.wait_turn(ours[-1]))
            elif agent.expecting:
                await self._changed.wait()
            else:
                break
        if "background" in awaited and (own := self._own.get(reply.agent)) and own.reply:
            turns.append(own)
        await self._note(broadcast.id, reply, turns)

    async def _note(self, broadcast_id: str, reply: Reply, turns: Sequence[TurnEnded]) -> None:
        now, ended = self._store.broadcast(broadcast_id), turns[-1]
        if now.over or broadcast_id in self._ending:
            return
        agent = self._kernel.roster.get(reply.agent)
        gone = agent is None or agent.end_reason != INTERRUPTED  # closed, or about to be
        status: Status = _STATUS.get(ended.outcome, "lost" if gone else "errored")
        if status == "done" and not ended.reply.strip():
            status = "silent"
        answer = answered(reply, turns, "lost" if gone and status != "done" else status)
        await self._store.append(self._store.draft("member_result", broadcast_id, replies={reply.label: answer}))

    async def stop(self) -> None:
        """End every open broadcast as `stopped`; members that have begun are told to stop, the asker is told, too."""
        for broadcast in list(self._store.open.values()):
            await self.end(broadcast, "stopped", losers="cancel")

    async def end(self, broadcast: Broadcast, how: str, winner: str = "", *, losers: str = "") -> Broadcast:
        """Return the broadcast, ended in this way unless it had ended.

        `losers` says what happens to members without an answer: nothing (empty), they are told to stop (`cancel`), or
        their turns are interrupted (`interrupt`).
        """
        while broadcast.id in self._ending:
            await self.moved()
        now = self._store.broadcast(broadcast.id)
        if now.over:
            return now
        self._ending.add(now.id)
        try:
            status: Status = "timeout" if how == "deadline" else "canceled"
            late = {r.label: msgspec.structs.replace(r, status=status, reason=f"ended: {how}") for r in now.open}
            why = "aegis-group was stopped" if how == "stopped" else f"superseded by {winner or how}"
            news = [self._cancel(now, r, why) for r in now.open] if losers else []
            unread = [x for r in now.open for x in self._unread(r)] if losers else []
            done = self._store.draft("broadcast_completed", now.id, replies=late, over=how, winner=winner)
            told = [*filter(None, news), *self._callback(now.changed({"replies": late}), how)]
            if unread:  # a member that has not begun never sees the question
                await self._kernel.post.dead_letter(unread, why, done, *told)
            else:
                await self._store.append(done, *told)
            for reply in now.open if losers == "interrupt" else ():
                agent = self._kernel.roster.get(reply.agent)
                if agent and agent.turn and reply.envelope in agent.turn.envelopes:
                    await agent.interrupt(agent.turn)
            if asker := self._kernel.roster.get(now.by):
                asker.expect(f"broadcast {now.id}", "")
            return self._store.broadcast(now.id)
        finally:
            self._ending.discard(broadcast.id)
            self._move()

    def _cancel(self, broadcast: Broadcast, reply: Reply, why: str) -> Draft | None:
        """Return the mail that tells a member to stop; None for a member that has not begun, or has closed."""
        post = self._kernel.post
        if self._unread(reply):
            return None
        sender = f"group:{broadcast.name}/cancel:{broadcast.id}"
        letter = post.envelope(sender, reply.agent, why, hops=broadcast.hops)
        try:
            return post.accept(letter, short=why)
        except Refused:
            return None

    def _unread(self, reply: Reply) -> list[Letter]:
        """Return the letter with the question if the member has not begun with it."""
        agent = self._kernel.roster.get(reply.agent)
        return [x for x in agent.mailbox.waiting if x.envelope.id == reply.envelope] if agent else []

    def _callback(self, broadcast: Broadcast, how: str) -> list[Draft]:
        if not broadcast.callback:
            return []
        said = "\n\n".join(f"{r.label} ({r.status}): {r.text or r.reason}" for r in broadcast.arrived)
        sender = f"group:{broadcast.name}/broadcast:{broadcast.id}"
        more = {"trace": broadcast.trace} if broadcast.trace else {}
        try:
            letter = self._kernel.post.envelope(
                sender, broadcast.by, f"ended: {how}\n\n{said}", hops=broadcast.hops + 1, task_id=broadcast.id,
                status="ok" if broadcast.done else "error", **more,
            )  # fmt: skip
            short = f"ended: {how}\n\nThere is no room here for the answers: aegis_group_wait_all has them."
            return [self._kernel.post.accept(letter, short=short)]
        except Refused:
            return []


def answered(reply: Reply, turns: Sequence[TurnEnded], status: Status) -> Reply:
    """Return the reply with the text of the last of its turns, and the time, tokens and cost of all, where known."""
    costs = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
    used = [turn.usage for turn in turns if turn.usage]
    reason = turns[-1].reason or ("" if status in ("done", "silent") else f"its turn was {turns[-1].outcome}")
    return msgspec.structs.replace(
        reply, status=status, text=turns[-1].reply, reason=reason, order=NEXT,
        turn_ms=round(sum(turn.seconds for turn in turns) * 1000),
        cost_usd=sum(costs) if len(costs) == len(turns) else None,
        tokens_in=sum(u.input + u.cache_read + u.cache_write for u in used), tokens_out=sum(u.output for u in used),
        tokens_unknown=len(used) < len(turns) or any(u.unknown for u in used),
    )  # fmt: skip


def deadline_in(kernel: Kernel, seconds: float) -> str:
    """Return the time so many seconds from now."""
    return stamp(kernel.clock.now() + timedelta(seconds=seconds))
