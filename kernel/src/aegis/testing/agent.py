"""An agent without a model: it follows a script, one step at a time, and hears what is said meanwhile.

What it says on the wire is a subclass's business: the scripted agent speaks events, the fake CLI another's protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aegis.testing import steps
from aegis.testing.script import Letter, Rule, fitting, letters
from aegis.testing.stdio import Stdio

if TYPE_CHECKING:
    from aegis.testing.mcpclient import McpClient
    from aegis.testing.shells import Shells


class Interrupted(Exception):
    """The turn is to end now."""


class ScriptedAgent(ABC):
    """One conversation. `memory` is what a resumed one needs; `spent` is the usage of the turn."""

    handle = ""
    primer = ""
    exits_mid_turn = True  # when standard input closes; else it ends its turn first

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.stdio = Stdio(self.hear)
        self.prompts: deque[str] = deque()
        self.servers: dict[str, McpClient] = {}
        self.memory: dict[str, Any] = {"turn": 0, "before": "", "used": []}
        self.busy = self.interrupted = False
        self.spent: dict[str, Any] = {}
        self.exit_code: int | None = None
        self._ids = 0
        self.shells: Shells | None = None

    # ------------------------------------------------------------------------------------ what a protocol fills in

    @abstractmethod
    def hear(self, line: bytes) -> None:
        """Take in a line: `prompt` it, set `interrupted`, keep an answer."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say something."""

    @abstractmethod
    def think(self, text: str) -> None:
        """Think something."""

    @abstractmethod
    def call(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> None:
        """Announce that a tool is used; `server` names the MCP server whose tool it is."""

    @abstractmethod
    def result(self, number: str, text: str, *, failed: bool = False) -> None:
        """Say what the tool answered."""

    @abstractmethod
    def refusal(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> str:
        """Wait for permission to use the tool; return why not, an empty text when it may run."""

    @abstractmethod
    def begin(self) -> None:
        """Say that a turn begins."""

    def join(self) -> None:  # noqa: B027 - only a CLI that takes messages in mid-turn has something to say
        """Say that the next of `prompts` joins the turn that runs."""

    @abstractmethod
    def end(self, outcome: str, reason: str) -> None:
        """Say that the turn is over; `memory` is complete and may be kept."""

    # ---------------------------------------------------------------------------------------------------- turns

    def prompt(self, text: str) -> None:
        """Take in a prompt: an idle agent begins a turn with it, a busy one plays it in the turn it is in."""
        if not self.busy and not self.prompts:
            self.interrupted = False  # what was said to nobody
        self.prompts.append(text)

    def run(self) -> int:
        """Serve until standard input closes, and return the exit code."""
        while True:
            self.stdio.wait(lambda: bool(self.prompts) or self.stdio.closed)
            if not self.prompts:
                return 0
            self.turn(self.prompts.popleft())
            if self.exit_code is not None:
                return self.exit_code

    def turn(self, prompt: str) -> None:
        """Play one turn, with whatever is said to the agent in the middle of it."""
        self.memory["turn"] += 1
        self.busy, self.spent = True, {}
        outcome, reason = "completed", ""
        self.begin()
        try:
            self._play(prompt)
            while self.prompts:
                self.join()
                self._play(self.prompts.popleft())
        except Interrupted:
            outcome = "cancelled"
            if self.shells:
                self.shells.end()
        except steps.GaveUp as error:
            outcome, reason = error.outcome, str(error)
        self.busy = self.interrupted = False
        self.end(outcome, reason)

    def _play(self, prompt: str) -> None:
        for letter in letters(prompt):
            fit = fitting(self.rules, letter, self.memory["used"])
            if fit is None:
                self.say("(my script has no answer to that)")
                continue
            number, groups = fit
            self.memory["used"].append(number)
            names = self._names(letter) | groups
            for step in self.rules[number]["do"]:
                self.pause(lambda: True)
                steps.do(self, step, names)
            self.memory["before"] = letter.body

    def _names(self, letter: Letter) -> dict[str, Any]:
        own = {"handle": self.handle, "primer": self.primer, "reply": ""}
        said = {"sender": letter.sender, "id": letter.id, "body": letter.body}
        return own | said | {"turn": self.memory["turn"], "before": self.memory["before"]}

    def pause(self, over: Callable[[], bool], seconds: float | None = None, *, glance: bool = False) -> None:
        """Wait and hear until `over()` or the time is up; raises `Interrupted` when the turn is to end."""

        def stop() -> bool:
            return self.interrupted or (self.stdio.closed and self.exits_mid_turn)

        self.stdio.listen(0)
        self.stdio.wait(lambda: over() or stop(), seconds, glance=glance)
        if self.stdio.closed and self.exits_mid_turn:
            raise SystemExit(0)
        if self.interrupted:
            raise Interrupted

    # ---------------------------------------------------------------------------------------------------- tools

    def next_id(self) -> str:
        """Return an id for a message or a tool call that this conversation has not used."""
        self._ids += 1
        return f"{self.memory['turn']}-{self._ids}"

    def use(self, tool: str, given: Mapping[str, Any], work: Callable[[], tuple[str, bool]], server: str = "") -> str:
        """Announce the tool, wait for permission, use it, say what came of it; return that."""
        number = self.next_id()
        self.call(number, tool, given, server)
        refusal = self.refusal(number, tool, given, server)
        text, failed = (refusal, True) if refusal else work()
        self.result(number, text, failed=failed)
        return text

    def ask_server(self, server: str, tool: str, given: Mapping[str, Any]) -> tuple[str, bool]:
        """Call a tool of an MCP server and return its answer, and whether that is an error."""
        client = self.servers.get(server)
        if client is None:
            return f"there is no MCP server {server!r} here", True
        answer = self.aside(lambda: client.call(tool, given), client)
        self.pause(lambda: True)
        return answer if answer is not None else ("cancelled", True)

    def aside(self, work: Callable[[], tuple[str, bool]], client: McpClient) -> tuple[str, bool] | None:
        """Do a client's work and hear meanwhile; None when the turn is to end."""
        from aegis.testing.mcpclient import McpError  # noqa: PLC0415 - http.client doubles the time to start

        try:
            return self.stdio.aside(work, lambda: self.interrupted or self.stdio.closed, client.drop)
        except McpError as error:
            return str(error), True

    def connect(self, servers: Mapping[str, tuple[str, Mapping[str, str]]]) -> dict[str, str]:
        """Shake hands with every server, (url, headers) by name, and return what went wrong with which."""
        if not servers:
            return {}
        from aegis.testing.mcpclient import McpClient  # noqa: PLC0415 - http.client doubles the time to start

        def hello(client: McpClient) -> tuple[str, bool]:
            client.connect()
            client.tools()
            return "", False

        wrong: dict[str, str] = {}
        for name, (url, headers) in servers.items():
            client = self.servers[name] = McpClient(url, headers)
            answer = self.aside(lambda client=client: hello(client), client)  # type: ignore[misc]
            if answer and answer[0]:
                wrong[name] = answer[0]
        return wrong
