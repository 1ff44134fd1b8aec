"""`aegis events`: what agents read, did and said, lately or from now on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aegis.errors import NotFound, Refused, listed, nearest
from aegis.events import AgentChanged, decode
from aegis_cli.blocking_client import BlockingClient
from aegis_cli.render import json_text
from aegis_cli.shell import Shell, own_parser
from aegis_cli.transcript import Transcript
from aegis_printable.printable import printable


class Follower:
    """Says events as lines, or as one JSON object a line, of one agent or of all."""

    def __init__(self, agents: Iterable[dict[str, Any]], only: str, *, as_json: bool) -> None:
        """Know `agents` by their faces; with `only`, keep to that handle. Raises `NotFound`."""
        self._handles = {a["id"]: a["handle"] for a in agents}
        self._ids = {i for i, handle in self._handles.items() if handle == only}
        self._json, self._only = as_json, only
        self._transcript = Transcript(lambda agent_id: self._handles.get(agent_id, agent_id))
        if only and not self._ids:
            live = self._handles.values()
            raise NotFound(f"no agent {only!r} is alive (live: {listed(live)}).{nearest(only, live)}")

    @property
    def ids(self) -> list[str]:
        """The ids of the agents that are shown."""
        return sorted(self._ids or self._handles)

    def say(self, agent_id: str, raw: dict[str, Any], at: str = "") -> None:
        """Say one event, if it is of an agent that is shown."""
        event = decode(raw)
        if isinstance(event, AgentChanged):
            self._handles[agent_id] = event.agent.get("handle", agent_id)
        if self._only and agent_id not in self._ids:
            return
        if self._json:
            row = {"v": 1, "agent": self._handles.get(agent_id, ""), "agent_id": agent_id, "at": at, "event": raw}
            print(json_text({k: v for k, v in row.items() if v != ""}), flush=True)
            return
        self._print(self._transcript.take(agent_id, event))

    def finish(self) -> None:
        """Say what is still unsaid."""
        for agent_id in [] if self._json else self.ids:
            self._print(self._transcript.rest(agent_id))

    @staticmethod
    def _print(entries: Iterable[str]) -> None:
        for entry in entries:
            print(printable(entry), flush=True)


def run(shell: Shell, words: Sequence[str]) -> int:
    """Show the recent transcript; with --follow, everything from now on until the kernel ends."""
    parser = own_parser("events")
    parser.add_argument("handle", metavar="HANDLE", nargs="?", help="of this agent only")
    parser.add_argument("-f", "--follow", action="store_true", help="from now on, until the kernel ends")
    given = vars(parser.parse_intermixed_args(words))
    shell, project = shell.with_options(given), shell.with_options(given).project
    with BlockingClient(project) as kernel:
        agents = kernel.ask("snapshot")["agents"]
        follower = Follower(agents, given.get("handle") or "", as_json=shell.json)
        if not given.get("follow"):
            written, _ = kernel.perform("records events", {"handle": given.get("handle") or ""})
            for row in written:
                for envelope in _envelopes(kernel, row["event"]):
                    follower.say(row["agent_id"], {"t": "Delivered", "envelope": envelope}, row["at"])
                follower.say(row["agent_id"], row["event"], row["at"])
        else:
            news = kernel.watch()
            print("following; Ctrl-C ends it", file=sys.stderr, flush=True)
            for rows in news:
                for agent_id, events, _ in rows:
                    for raw in events:
                        follower.say(agent_id, raw)
            print(f"the aegis in {project.root} has ended", file=sys.stderr, flush=True)
    follower.finish()
    return 0


def _envelopes(kernel: BlockingClient, raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the envelopes a turn began with; a transcript only has their ids."""
    for envelope_id in raw.get("envelopes", ()) if raw.get("t") == "TurnStarted" else ():
        try:
            message, _ = kernel.perform("message show", {"message": envelope_id})
        except Refused:
            continue  # nobody here keeps messages
        yield {name: message[name] for name in ("id", "sender", "recipient", "at", "body")}
