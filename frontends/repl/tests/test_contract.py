"""The member as a plugin, and that every kind of event has a place on the screen."""

from importlib.metadata import entry_points

import pytest
from prompt_toolkit.styles import Style

from aegis import events as e
from aegis.testing.contracts import FrontendContract, PluginContract
from aegis_repl import plugin, render, styles
from aegis_repl.transcript import Transcript

ENVELOPE = {"id": "01", "sender": "agent:wry-hopper", "recipient": "x", "at": "2026-01-05T10:00:00Z", "body": "look"}
SHOWN = {
    "Text": (e.Text("I say\nthis"), ["I say", "this"]),
    "Thought": (e.Thought("hm"), ["hm"]),
    "ToolCall": (
        e.ToolCall("1", "Read", "worker.py", "read", locations=("src/worker.py:142",)),
        ["📖 Read(worker.py:142)"],
    ),
    "ToolResult": (e.ToolResult("1", "\nno such file\nat all", is_error=True), ["  └ error no such file"]),
    "Plan": (
        e.Plan((e.PlanEntry("a", "completed"), e.PlanEntry("b", "in_progress"), e.PlanEntry("c"))),
        ["📋 Plan — 1/3 done", "  ● a", "  ◐ b", "  ○ c"],
    ),
    "Background": (e.Background(("a build", "a search")), ["⧗ beside its turns: a build; a search"]),
    "Notice": (e.Notice("slow\nnetwork", "warning", "claude"), ["· claude: slow", "  network"]),
    "PermissionAsked": (e.PermissionAsked("1", "Bash", title="rm -rf x"), ["? asks to use Bash: rm -rf x"]),
    "PermissionAnswered": (e.PermissionAnswered("1", "denied", "too wild"), ["  └ denied: too wild"]),
    "TurnEnded": (e.TurnEnded("completed", seconds=7.12, cost_usd=0.031), ["── done in 7.1s · $0.031 ──"]),
    "Delivered": (e.Delivered(ENVELOPE), ["✉ from agent:wry-hopper · 10:00:00Z", "  look"]),
    "VerbsChanged": (e.VerbsChanged(("canvas write",), ("dice",)), ["· verbs: +canvas write, -dice"]),
    "PluginsChanged": (e.PluginsChanged(("canvas",), ("dice",)), ["· plugins: +canvas, -dice"]),
    "ConfigChanged": (
        e.ConfigChanged(("agents", "queues"), "human:anna"),
        ["· configuration changed: agents, queues (by human:anna)"],
    ),
    "Fault": (e.Fault("canvas", "KeyError: 'x'", final=True), ["✗ canvas: KeyError: 'x'; it is not started again"]),
    "Gap": (e.Gap(1234), ["· 1,234 events went by unseen: this screen was too slow, or away"]),
    "Unknown": (e.Unknown({"type": "new"}), ['· {"type": "new"}']),
}
IN_THE_BARS = {"SessionStarted", "TurnStarted", "Usage", "AgentChanged"}


class TestRepl(PluginContract, FrontendContract):
    plugin = "repl"
    silent = frozenset(IN_THE_BARS)

    def render(self, event):
        return render.event(event)


def plain(lines):
    return ["".join(text for _, text in line) for line in lines]


def test_the_entry_point_offers_the_console():
    found = next(point for point in entry_points(group="aegis.plugins") if point.name == "repl")
    assert found.load() is plugin
    assert [console.name for console in plugin.aegis_consoles()] == ["repl"]


def test_every_event_kind_has_its_place():
    assert set(SHOWN) | IN_THE_BARS == set(e.KINDS)


@pytest.mark.parametrize("kind", SHOWN)
def test_shown(kind):
    happened, lines = SHOWN[kind]
    assert plain(render.event(happened)) == lines
    transcript = Transcript()
    said = plain(transcript.add([happened]))
    assert said + (plain([transcript.live]) if transcript.live else []) == lines


def test_a_wrong_file_says_what_stays_in_force():
    wrong = e.ConfigChanged(error=".aegis.yaml:2: queues: there is no profile 'x'")
    said = ["✗ .aegis.yaml:2: queues: there is no profile 'x'", "  The configuration of before stays in force."]
    assert plain(render.event(wrong)) == said


@pytest.mark.parametrize("happened", [e.SessionStarted("s"), e.TurnStarted("t"), e.Usage(1), e.AgentChanged({})])
def test_what_only_moves_the_bars_prints_nothing(happened):
    assert render.event(happened) == []


def test_every_style_is_one_there_is():
    style = Style.from_dict(styles.STYLES)
    used = {name for happened, _ in SHOWN.values() for line in render.event(happened) for name, _ in line if name}
    assert {name.removeprefix("class:") for name in used} <= set(styles.STYLES)
    assert style.style_rules
