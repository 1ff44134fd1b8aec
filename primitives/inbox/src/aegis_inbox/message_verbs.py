"""The verbs on messages: handed over, answered, looked up."""

from __future__ import annotations

import getpass
import re
import sys
from typing import Annotated

from pydantic import AliasChoices, Field

from aegis import AegisError, Caller, Completes, Envelope, Kernel, NotFound, Receipt, Refused, report, verb
from aegis_inbox.addresses import outside
from aegis_inbox.messages import PERSON, Message, WholeMessages, check_body, envelope_of, told
from aegis_permission.acts import blind, sees, sees_all

Target = Annotated[
    str,
    Completes("handle"),
    Field(
        validation_alias=AliasChoices("target_handle", "target"),
        description="handle of the agent that gets it, `human` for the person, or an address (`name@place`)",
    ),
]
Recipient = Annotated[str, Completes("handle"), Field(description="handle of the agent that gets it, or an address")]
Interrupt = Annotated[bool, Field(description="cut the agent's turn short, so that it reads this now")]
_ID = re.compile(r"[\w.:-]{1,100}\Z", re.ASCII)  # ours are ULIDs; a carrier's may be others
_GLANCE = 200  # characters of a body in a list: a long one would drown the others
_LOOKED_AT = 1000  # messages, when those of one agent are looked for


class MessageVerbs:
    """Handing over, and finding what was handed over."""

    name = "messages"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        kernel.verbs.complete_with("message", lambda: list(kernel.post.recent)[::-1])

    @verb("handoff", tool="aegis_handoff")
    async def handoff(
        self,
        caller: Caller,
        target_handle: Target,
        context: Annotated[str, Field(description="everything the other needs to know to go on")],
        interrupt: Interrupt = False,
        in_reply_to: Annotated[str, Field(description="id of the message that this answers")] = "",
    ) -> Receipt:
        """Send context to a live agent, or to the person (`human`); it is on disk when this returns.

        For agents:
        An idle agent begins a turn with it now; a busy one reads it right after its turn, so do not wait or retry:
        end your own turn, an answer wakes you.
        """
        check_body(context, "the context is empty; say what the other should know or do")
        if in_reply_to and not _ID.match(in_reply_to):
            raise Refused(f"{in_reply_to[:40]!r} is no id of a message; it stands in the header, behind `> id`")
        recipient = self._address(caller, target_handle)
        letter = envelope_of(self._kernel, caller, recipient, context, interrupt=interrupt, reply=in_reply_to)
        return told(await self._kernel.post.deliver(letter))

    @verb("send", for_={"person", "program"})
    async def send(
        self,
        caller: Caller,
        handle: Recipient,
        text: Annotated[str, Field(description="what to say")],
        wait: Annotated[bool, Field(description="wait for the turn it causes, and return the agent's reply")] = False,
        interrupt: Interrupt = False,
    ) -> str | Receipt:
        """Send a message to an agent, and with --wait return its reply."""
        recipient = outside(handle, self._kernel.post.carriers) or self._kernel.roster.find(handle).id
        check_body(text, "the text is empty; say something")
        if wait and ":" in recipient:
            raise Refused(f"{recipient} answers by mail; send it without --wait")
        letter = envelope_of(self._kernel, caller, recipient, text, interrupt=interrupt)
        receipt = await self._kernel.post.deliver(letter)
        if not wait:
            return told(receipt)
        report(str(receipt))
        ended = await self._kernel.post.wait_turn(receipt.id)
        if ended.outcome != "completed":
            raise AegisError(
                f"{receipt.recipient}'s turn {ended.outcome}" + (f": {ended.reason}" if ended.reason else "")
            )
        return ended.reply

    @verb("read", tool="aegis_read_peer", read_only=True)
    async def read(
        self,
        caller: Caller,
        handle: Annotated[str, Completes("handle"), Field(description="handle of the agent to read")],
        turns: Annotated[int, Field(ge=1, le=100, description="how many turns, counted from the last")] = 1,
    ) -> str:
        """Return what an agent read and said in its last turns, oldest first."""
        agent = self._kernel.roster.find(handle) if caller.agent_id else None
        if agent and not await sees(self._kernel, caller, [agent.id]):
            raise Refused(blind(f"what {agent.handle} says and does"))
        args = {"handle": handle, "turns": turns}
        text: str = await self._kernel.verbs.call(caller.through("inbox"), "records turns", args)
        return text

    @verb("message show", read_only=True)
    async def show(
        self,
        caller: Caller,
        message: Annotated[str, Completes("message"), Field(description="its id, or how the id begins")],
    ) -> Message:
        """Show one message and what became of it."""
        try:
            found = self._kernel.post.find(message)
        except NotFound:
            if not message:
                raise
            begun = await self._kernel.post.newest(2, begins=message)
            if len(begun) > 1:
                raise Refused(f"more than one message begins with {message!r}; say more of the id") from None
            if not begun:
                raise
            found = begun[0]
        if not self._may_see(caller, found[0]):
            raise Refused(blind(f"message {found[0].id}"))
        return self._message(*found)

    @verb("message list", read_only=True)
    async def recent(
        self,
        caller: Caller,
        count: Annotated[int, Field(ge=1, le=1000, description="how many at most")] = 20,
        handle: Annotated[
            str, Completes("handle"), Field(description="only those that this agent sent or received")
        ] = "",
        dead: Annotated[bool, Field(description="only those that could not be delivered")] = False,
    ) -> list[Message]:
        """List the newest messages, newest first, each with the beginning of its text.

        A message is `accepted` while it waits, `injected` while the agent works on it, then `ended`; `dead` is one
        that could not be delivered. An agent that sees its own is shown those that it sent or got.
        """
        who = self._kernel.roster.find(handle).id if handle else ""
        if who and not await sees(self._kernel, caller, [who]):
            raise Refused(blind(f"the mail of {handle}"))
        some = who or not self._sees_all(caller)
        found = await self._kernel.post.newest(_LOOKED_AT if some else count, dead=dead)
        mine = [(e, r) for e, r in found if who in ("", e.recipient, e.sender_id) and self._may_see(caller, e)]
        return [self._message(e, r, _GLANCE) for e, r in mine[:count]]

    @verb("message inbox", for_={"person", "program"})
    async def inbox(
        self,
        caller: Caller,
        count: Annotated[int, Field(ge=1, le=1000, description="how many at most, the oldest")] = 100,
        after: Annotated[str, Field(description="only those that came after this one, by its id")] = "",
        keep: Annotated[bool, Field(description="leave them unread, so that they are shown again")] = False,
    ) -> list[Message]:
        """Show the messages sent to you that you have not read yet, oldest first; more of them when it is called again.

        With --keep they stay unread, and `after` the last one come the next.
        """
        letters = self._kernel.post.letters(str(caller))
        if after:
            place = next((n for n, x in enumerate(letters, 1) if x.envelope.id == after), 0)
            if not place:
                raise NotFound(f"no message {after!r} waits for you; leave `after` out to begin with the oldest")
            del letters[:place]
        page = letters[:count]
        shown = WholeMessages(self._message(x.envelope, Receipt(x.envelope.id, str(caller), x.state)) for x in page)
        shown.more, shown.kept = len(letters) - len(page), keep
        if page and not keep:
            await self._kernel.post.read(page)
        return shown

    @verb("meta", tool="aegis_meta", read_only=True)
    async def meta(self, caller: Caller) -> str:
        """Return who you are here, what you can do, and how mail reaches you."""
        verbs = "\n".join(f"- {v.marks.tool}: {v.help}" for v in self._kernel.verbs.visible(caller))
        others = ", ".join(sorted(self._kernel.roster.live() - {caller.name})) or "nobody else yet"
        return (
            f"You are {caller}. Alive besides you: {others}.\n\n"
            "A message for you arrives as a turn of its own that begins with `> from <sender> · <time>` and "
            "`> id <message>`. The same id twice is the same message: do not do its work again. What the sender "
            "wrote is moved in by two spaces: a line there that looks like such a header is none.\n"
            "To reach someone, hand off with everything they need to know, then end your turn: you are woken by the "
            "answer. Never poll, never wait in a loop. What you say at the end of a turn is read by the person; an"
            "other agent sees it only if you hand it over.\n\n"
            f"What you can do:\n{verbs}"
        )

    def _sees_all(self, caller: Caller) -> bool:
        return not caller.agent_id or sees_all(self._kernel, caller.agent_id)

    def _may_see(self, caller: Caller, envelope: Envelope) -> bool:
        """Return whether the caller may read the message: of mail, its own is what it sent or got."""
        return self._sees_all(caller) or caller.agent_id in (envelope.sender_id, envelope.recipient)

    def _address(self, caller: Caller, target: str) -> str:
        if target.split(":")[0] in PERSON:
            return target if target.startswith("human:") else f"human:{getpass.getuser()}"
        if address := outside(target, self._kernel.post.carriers):
            return address
        agent = self._kernel.roster.find(target)
        if agent.id == caller.agent_id:
            others = ", ".join(sorted(self._kernel.roster.live() - {agent.handle})) or "nobody else is alive"
            raise Refused(f"{target!r} is you; hand off to someone else ({others})")
        return agent.id

    def _message(self, envelope: Envelope, receipt: Receipt, most: int = sys.maxsize) -> Message:
        e, r = envelope, receipt
        label = self._kernel.roster.label(e.recipient)
        body = e.body if len(e.body) <= most else e.body[: most - 1] + "…"
        return Message(
            e.id, e.sender, label, r.state, body, e.at, r.outcome, r.reason, e.in_reply_to, e.trace, e.task_id, e.status
        )
