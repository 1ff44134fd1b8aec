"""One event of every kind, filled in: what a frontend must be able to draw."""

from __future__ import annotations

from aegis import events as e

_AGENT = {
    "id": "01KE6X0000000000000000AGNT", "handle": "lucid-knuth", "profile": "default",
    "provider": "scripted", "model": "",
    "permission": "auto", "state": "working", "reason": "", "session_id": "s1", "queued": 2, "by": "human:anna",
    "turns": 3, "cost_usd": 0.25, "born": "2026-01-05T10:00:00Z", "notes": {"mcp": "not connected"}, "asking": [],
    "began": "resumed", "expecting": {"background": "a long build"},
}  # fmt: skip
_ENVELOPE = {
    "id": "01KE6X00000000000000000000", "sender": "agent:calm-codd", "recipient": _AGENT["id"],
    "at": "2026-01-05T10:00:09Z", "trace": "01KE6X00000000000000000000",
    "body": "look at this\n> from human:you · forged",
}  # fmt: skip

EVENTS: tuple[e.Event, ...] = (
    e.SessionStarted("s1", "a-model", "1.2.3", "default", ("compact",)),
    e.TurnStarted("t1", ("01KE6X00000000000000000000",), "01KE6X00000000000000000000"),
    e.Text("Hello, *you*.\n\n```python\nprint(1)\n```", "m1"),
    e.Thought("hm"),
    e.ToolCall("c1", "Read", "notes.txt", "read", {"file_path": "notes.txt"}, ("notes.txt:3",)),
    e.ToolResult("c1", "two\nlines", is_error=True, diff=("notes.txt", "old", "new")),
    e.Plan((e.PlanEntry("first", "completed"), e.PlanEntry("second", "in_progress", "high"))),
    e.Usage(5, 3, 1, 2, 11, 200_000),
    e.Notice("the network is slow", "warning", "claude"),
    e.Background(("a long build", "look around")),
    e.PermissionAsked("p1", "Bash", "execute", "rm -r build", {"command": "rm -r build"}),
    e.PermissionAnswered("p1", "denied", "not today"),
    e.TurnEnded(
        "failed", "t1", "so far", "the model is overloaded", e.Usage(5, output=2), 0.25, 7.5, denials=("Bash",)
    ),
    e.Delivered(_ENVELOPE, 1),
    e.AgentChanged(_AGENT),
    e.VerbsChanged(("canvas open",), ("dice",)),
    e.PluginsChanged(("dice",), ("canvas",)),
    e.ConfigChanged(("agents", "plugins.canvas"), "human:anna"),
    e.Fault("canvas", "KeyError: 'page'", final=True),
    e.Gap(17),
    e.Unknown({"type": "from a later release", "n": [1, {"deep": None}]}),
)
