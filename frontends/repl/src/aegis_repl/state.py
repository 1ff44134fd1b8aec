"""What the screen knows: a fold over the snapshot and the events, with no screen and no kernel in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from aegis import events as e
from aegis.bus import Batch
from aegis_repl import render
from aegis_repl.permission_requests import Answer, PermissionRequests
from aegis_repl.render import Line
from aegis_repl.transcript import Transcript


@dataclass(frozen=True, slots=True)
class TabView:
    """A tab as the bars draw it; `since` is when its turn began, on the state's clock."""

    number: int
    handle: str
    profile: str
    model: str
    permission: str
    state: str
    reason: str
    active: bool
    unseen: bool
    asks: bool
    queued: int
    seen_tokens: int
    cached_tokens: int
    said_tokens: int
    cost_usd: float
    cost_unknown: int
    since: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that is drawn below the transcript, frozen so that the screen's thread may hold it."""

    tabs: tuple[TabView, ...] = ()
    live: Line = field(default_factory=list)
    question: str = ""
    confirm: str = ""
    known: bool = True  # who is here; before, nothing is said of it

    @property
    def active(self) -> TabView | None:
        """The tab a typed line goes to."""
        return next((tab for tab in self.tabs if tab.active), None)


@dataclass(slots=True)
class Tab:
    """One agent: its view as the kernel gives it, its transcript, and the tokens it has used."""

    agent: Mapping[str, Any]
    transcript: Transcript
    unseen: bool = False
    unread: bool = False  # it was at work before this screen was
    held: list[Line] | None = None  # lines that are printed once its last turn has been read, which comes before them
    requests: PermissionRequests = field(default_factory=PermissionRequests)
    since: float | None = None
    used: tuple[int, int, int] = (0, 0, 0)  # tokens read, of them cached, and said, in turns that are over
    turn: tuple[int, int, int] = (0, 0, 0)

    @property
    def handle(self) -> str:
        """What people call the agent now."""
        return str(self.agent["handle"])


class State:
    """The tabs, which one is active, and what is asked of the person."""

    def __init__(self, now: Callable[[], float], me: str = "") -> None:
        self.me = me
        self.tabs: dict[str, Tab] = {}
        self.active = ""
        self.closing = ""  # the agent that Ctrl+W asked about
        self.awaited = ""  # the agent to switch to as soon as it is seen
        self._now = now
        self._home = Transcript()

    # -- what happened ------------------------------------------------------------------------------------------

    def load(self, snapshot: Mapping[str, Any], active: str = "") -> None:
        """Begin with the kernel's snapshot; the given agent is active if it is alive, else the first."""
        self.me = str(snapshot.get("caller", self.me))
        for agent in snapshot.get("agents", ()):
            tab = self._meet(agent)
            tab.unread = bool(agent["session_id"])
        self.active = active if active in self.tabs else self.active

    def refresh(self, snapshot: Mapping[str, Any]) -> list[Line]:
        """Catch up after events were missed: agents are what the snapshot says; return the lines to print."""
        agents = {agent["id"]: agent for agent in snapshot.get("agents", ())}
        gone = [{**tab.agent, "state": "closed", "reason": ""} for x, tab in self.tabs.items() if x not in agents]
        return [line for agent in (*agents.values(), *gone) for line in self._changed(agent)]

    def fold(self, batch: Batch) -> tuple[list[Line], bool]:
        """Take a batch in; return the lines to print now, and whether to ring because of another tab."""
        tab = self.tabs.get(batch.agent_id)
        lines: list[Line] = []
        ring = False
        for event in batch.events:
            if isinstance(event, e.AgentChanged):
                lines += self._changed(event.agent)
                tab = self.tabs.get(batch.agent_id)
            elif tab:
                self._count(tab, event)
                ring = ring or (batch.agent_id != self.active and isinstance(event, e.TurnEnded | e.PermissionAsked))
        told = [x for x in batch.events if not isinstance(x, e.AgentChanged)]
        if tab is None:
            return [*lines, *self._elsewhere(batch.agent_id, told)], ring
        if tab.agent["state"] not in ("working", "starting"):  # it wakes for what is first in line
            told = [replace(x, position=0) if isinstance(x, e.Delivered) and x.position == 1 else x for x in told]
        shown = tab.transcript.add(told)
        for event in told:
            if isinstance(event, e.PermissionAnswered) and (said := tab.requests.end(event, self._now())):
                shown = [*shown, *tab.transcript.note(said)]
        tab.unread = tab.unread and not shown and not tab.transcript.live  # what follows is seen; nothing is seen twice
        if batch.agent_id == self.active:
            if tab.held is not None:
                tab.held += shown
                return lines, ring
            return [*lines, *shown], ring
        tab.unseen = tab.unseen or bool(shown or tab.transcript.live)
        return lines, ring

    def _elsewhere(self, address: str, told: list[e.Event]) -> list[Line]:
        """Return what is for everybody (the kernel's own) or for this person, as part of the active transcript."""
        if address and address != self.me:
            return []
        lines = [
            line
            for event in told
            for line in (render.delivered(event, self.me) if isinstance(event, e.Delivered) else render.event(event))
        ]
        return self.note(lines) if lines else []

    def _changed(self, agent: Mapping[str, Any]) -> list[Line]:
        known = self.tabs.get(agent["id"])
        if agent["state"] == "closed":
            return self._close_tab(agent) if known else []
        if known is None:
            tab = self._meet(agent)
            if agent["id"] == self.awaited:
                return self.switch(agent["id"])
            return self.note([[("class:dim", f"· {tab.handle} is here ·{agent['profile']}·")]])
        lines: list[Line] = []
        if known.handle != agent["handle"]:
            lines = self.note([[("class:dim", f"· {known.handle} is now called {agent['handle']}")]])
        began = agent.get("began", "")
        if began not in ("", "new", known.agent.get("began")):
            said = known.transcript.note([[("class:dim", f"· {known.handle} {began}")]])
            lines += said if agent["id"] == self.active else self.note(said)
        if agent["state"] in ("failed", "stopped") and agent["reason"] not in ("", known.agent["reason"]):
            said = known.transcript.note(
                [[("class:error", f"✗ {agent['state']}: {render.first_line(agent['reason'], 500)}")]]
            )
            lines += said if agent["id"] == self.active else []
            known.unseen = known.unseen or agent["id"] != self.active
        known.agent = agent
        known.requests.load(agent.get("asking", ()), self._now())
        if agent["state"] != "working":
            known.since = None
        return lines

    def _meet(self, agent: Mapping[str, Any]) -> Tab:
        tab = self.tabs[agent["id"]] = Tab(agent, Transcript(self.me))
        tab.requests.load(agent.get("asking", ()), self._now())
        self.tabs = dict(sorted(self.tabs.items()))  # ids grow with time: tabs stand in the order of birth
        self.active = self.active or agent["id"]
        return tab

    def _close_tab(self, agent: Mapping[str, Any]) -> list[Line]:
        order = list(self.tabs)
        place = order.index(agent["id"])
        gone = self.tabs.pop(agent["id"])
        self.closing = "" if self.closing == agent["id"] else self.closing
        reason = (
            ""
            if agent["reason"] in ("", "closed", gone.agent["reason"])
            else f": {render.first_line(agent['reason'], 300)}"
        )
        lines: list[Line] = [[("class:dim", f"· {gone.handle} is closed{reason}")]]
        if agent["id"] != self.active:
            return self.note(lines)
        left = [x for x in order if x in self.tabs]
        self.active = ""
        return [*lines, *(self.switch(left[min(place, len(left) - 1)]) if left else [])]

    def _count(self, tab: Tab, event: e.Event) -> None:
        match event:
            case e.TurnStarted():
                tab.since, tab.turn = self._now(), (0, 0, 0)
            case e.Usage():
                tab.turn = _tokens(event)
            case e.TurnEnded():
                last = _tokens(event.usage) if event.usage else tab.turn
                tab.used = tuple(map(sum, zip(tab.used, last, strict=True)))  # type: ignore[assignment]
                tab.since, tab.turn = None, (0, 0, 0)
            case e.PermissionAsked():
                tab.requests.ask(event, self._now())

    def note(self, lines: list[Line]) -> list[Line]:
        """Put lines of the screen's own into the active transcript and return what to print."""
        tab = self.tabs.get(self.active)
        return (tab.transcript if tab else self._home).note(lines)

    def begin_recall(self, agent_id: str) -> Tab | None:
        """Return the tab if its last turn is to be read; what its agent says is held until that is there."""
        tab = self.tabs.get(agent_id)
        if tab is None or not tab.unread:
            return None
        tab.unread, tab.held = False, []
        return tab

    def end_recall(self, agent_id: str, recalled: list[Line]) -> list[Line]:
        """Return the lines to print: the last turn, if its tab is still the active one, and what was held."""
        tab = self.tabs.get(agent_id)
        if tab is None:
            return []
        held, tab.held = tab.held or [], None
        tab.transcript.recent.extendleft(reversed(recalled))
        return [*recalled, *held] if agent_id == self.active else []

    # -- what the person does -----------------------------------------------------------------------------------

    def find(self, word: str) -> str:
        """Return the id of the tab of this number or handle, empty when there is none."""
        order = list(self.tabs)
        if word.isdigit():
            return order[int(word) - 1] if 0 < int(word) <= len(order) else ""
        return next((x for x, tab in self.tabs.items() if tab.handle == word.removeprefix("@")), "")

    def beside(self, step: int) -> str:
        """Return the id of the tab so many to the right, round the end."""
        order = list(self.tabs)
        return order[(order.index(self.active) + step) % len(order)] if self.active in order else ""

    def switch(self, agent_id: str, recent: int = 12) -> list[Line]:
        """Make a tab the active one, now or once it is there; return a divider and its last lines, to be printed."""
        tab = self.tabs.get(agent_id)
        self.awaited = "" if tab else agent_id
        if tab is None or agent_id == self.active:
            return []
        self.active, self.closing, tab.unseen = agent_id, "", False
        tab.held = tab.held and []  # they are among its last lines
        number = list(self.tabs).index(agent_id) + 1
        title = f" {number} {tab.handle} ·{tab.agent['profile']}· "
        lines = list(tab.transcript.recent)[-recent:]
        while lines and not lines[0]:
            del lines[0]
        return [[], [("class:divider", "───"), ("class:title", title), ("class:divider", "───")], *lines]

    def answer(self, line: str) -> Answer | None:
        """Return what a typed line answers the active agent, None when it is no answer; raises `Refused`, see there."""
        tab = self.tabs.get(self.active)
        return tab.requests.answer(line, self._now()) if tab else None

    def again(self, agent_id: str, call: str) -> None:
        """Ask the person again: the answer was not taken."""
        if tab := self.tabs.get(agent_id):
            tab.requests.again(call)

    # -- what is drawn ------------------------------------------------------------------------------------------

    def view(self) -> View:
        """Return what is to be drawn now."""
        tab = self.tabs.get(self.active)
        question = f"{tab.handle} {tab.requests.text}" if tab and tab.requests.first else ""
        closing = self.tabs.get(self.closing)
        last = " and quit aegis" if len(self.tabs) == 1 else ""
        confirm = f"close {closing.handle}{last}?" if closing else ""
        tabs = tuple(self._tab_view(n, x, tab) for n, (x, tab) in enumerate(self.tabs.items(), 1))
        return View(tabs, tab.transcript.live if tab else [], question, confirm)

    def _tab_view(self, number: int, agent_id: str, tab: Tab) -> TabView:
        agent, asks = tab.agent, bool(tab.requests.waiting)
        read, cached, said = (a + b for a, b in zip(tab.used, tab.turn, strict=True))
        coming = list(agent.get("expecting", {}).values())
        waits = [f"⧗ waits for {coming[0] if len(coming) == 1 else f'{len(coming)} things'}"] if coming else []
        notes = (*waits, *(f"{source}: {text}" for source, text in agent["notes"].items()))
        return TabView(
            number, tab.handle, agent["profile"], agent["model"], agent["permission"], agent["state"], agent["reason"],
            agent_id == self.active, tab.unseen, asks, agent["queued"], read, cached, said, agent["cost_usd"],
            agent.get("cost_unknown", 0), tab.since, notes,
        )  # fmt: skip


def _tokens(usage: e.Usage) -> tuple[int, int, int]:
    return usage.input + usage.cache_read + usage.cache_write, usage.cache_read, usage.output
