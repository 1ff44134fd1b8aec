"""What the real Gemini CLI and OpenCode may do under each permission, whatever the person's own settings allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Block, Model, tool_use

from aegis.driver import Decision, Driver, PermissionRequest
from aegis.events import Event, Text, ToolCall, ToolResult, TurnEnded
from aegis.testing.plane import serving
from aegis.testing.seats import Seats, turn
from aegis_approvals.subject import Subject, subject
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver


@dataclass
class Cli:
    """One of them, and how the model calls its tools."""

    driver: Driver
    keys: dict[str, Any]
    environment: dict[str, str]
    work: Path
    settings: Path
    trust: dict[str, Any]  # what a person may have allowed beforehand in these settings
    edit: Callable[[Path], Block]
    run: Callable[[str], Block]

    def seats(self, folder: Path) -> Seats:
        return Seats(self.driver, folder, self.environment)


@pytest.fixture(params=["gemini", "opencode"])
def cli(request: pytest.FixtureRequest, tmp_path: Path, model: Model) -> Cli:
    binary, home, work = request.getfixturevalue(request.param), tmp_path / "home", tmp_path / "work"
    work.mkdir()
    if request.param == "gemini":
        environment = gemini_environment(home, model)
        return Cli(
            GeminiDriver(), {"command": [binary], "model": "gemini-2.5-pro"}, environment, work,
            home / ".gemini" / "settings.json", {"tools": {"allowed": ["write_file", "run_shell_command(touch)"]}},
            lambda path: tool_use("write_file", file_path=str(path), content="new"),
            lambda words: tool_use("run_shell_command", command=words, description=""),
        )  # fmt: skip
    free = {"permission": {"edit": "allow", "bash": "allow"}}
    return Cli(
        OpenCodeDriver(), {"command": [binary], "model": "probe/scripted"}, opencode_environment(home, model), work,
        work / "opencode.json", free | {"agent": {"build": free}},
        lambda path: tool_use("write", filePath=str(path), content="new"),
        lambda words: tool_use("bash", command=words, description=""),
    )  # fmt: skip


async def refuse(request: PermissionRequest) -> Decision:
    return Decision("denied", "not on a Friday")


async def acted(cli: Cli, model: Model, folder: Path, permission: str, acts: list[Block]) -> tuple[Seats, list[Event]]:
    rules = [{"when": r"^go$", "say": [acts[0]], "times": 1}]
    rules += [{"on": "tool_result", "say": [act], "times": 1} for act in acts[1:]]
    model.follow(*rules, {"say": "done", "on": "tool_result"})
    seats = cli.seats(folder)
    seats.decide = refuse
    async with seats.open(cli.keys | {"permission": permission}) as session:
        events = await turn(session, "go")
    ends = [event for event in events if isinstance(event, TurnEnded)]
    assert [end.outcome for end in ends] == ["completed"]
    assert "".join(e.text for e in events if isinstance(e, Text)).endswith("done"), "it goes on after a refusal"
    return seats, events


@pytest.mark.ability("permission read")
async def test_read_changes_nothing_even_where_the_settings_allow_it(cli: Cli, model: Model, tmp_path: Path) -> None:
    before = json.loads(cli.settings.read_text()) if cli.settings.exists() else {}
    cli.settings.write_text(json.dumps(before | cli.trust))
    acts = [cli.edit(cli.work / "a.txt"), cli.run("touch b.txt")]
    seats, events = await acted(cli, model, tmp_path, "read", acts)
    assert {path.name for path in cli.work.iterdir()} <= {"opencode.json"}
    assert seats.asked == [], "nobody is asked for what a reader may not do"
    results = [event for event in events if isinstance(event, ToolResult)]
    assert len(results) == 2 and all(result.is_error for result in results)


@pytest.mark.ability("permission write")
async def test_write_edits_inside_its_folder_unasked_and_asks_for_the_rest(
    cli: Cli, model: Model, tmp_path: Path
) -> None:
    inside = cli.work / "a.txt"
    seats, _ = await acted(cli, model, tmp_path, "write", [cli.edit(inside), cli.run("rm a.txt")])
    assert inside.read_text() == "new"
    [asked] = seats.asked
    assert (asked.kind, asked.title) == ("execute", "rm a.txt")
    assert subject(asked, cli.work) == Subject("command", ("rm a.txt",)), "a rule can be made of it"


@pytest.mark.ability("plane")
async def test_only_the_planes_own_tools_are_not_asked_about(cli: Cli, model: Model, tmp_path: Path) -> None:
    """Neither is the server `aegis_evil` ours, whose tools' names begin like those of the server `aegis`."""
    ours = "mcp_aegis_" if isinstance(cli.driver, GeminiDriver) else "aegis_"
    acts = [tool_use(f"{ours}whoami"), tool_use(f"{ours}evil_whoami")]
    model.follow(
        {"when": r"^go$", "say": [acts[0]], "times": 1},
        {"on": "tool_result", "say": [acts[1]], "times": 1},
        {"say": "done", "on": "tool_result"},
    )
    seats = cli.seats(tmp_path)
    seats.decide = refuse
    with serving() as plane:
        servers = [plane.server("anna", "secret-a"), plane.server("evil", "secret-b", "aegis_evil")]
        async with seats.open(cli.keys | {"permission": "auto"}, servers=servers) as session:
            await trio.to_thread.run_sync(plane.known_to, "anna", "evil")  # some connect beside the first prompt
            events = await turn(session, "go")
    assert [(asked.tool, asked.kind) for asked in seats.asked] == [(f"{ours}evil_whoami", "other")]
    assert [caller for caller, *_ in plane.calls] == ["anna"]
    assert next(event.text for event in events if isinstance(event, ToolResult)) == "you are anna"


@pytest.mark.ability("permission full")
async def test_full_asks_nobody(cli: Cli, model: Model, tmp_path: Path) -> None:
    acts = [cli.edit(cli.work / "a.txt"), cli.run("mv a.txt b.txt")]
    seats, events = await acted(cli, model, tmp_path, "full", acts)
    assert (cli.work / "b.txt").read_text() == "new" and seats.asked == []
    calls, results = ([e.id for e in events if isinstance(e, kind)] for kind in (ToolCall, ToolResult))
    assert calls == results and len(calls) == 2


@pytest.mark.ability("what governs it")
@pytest.mark.parametrize("permission", ["write", "auto"])
async def test_what_governs_it_is_asked_about_even_where_the_settings_allow_edits(
    cli: Cli, model: Model, tmp_path: Path, permission: str
) -> None:
    before = json.loads(cli.settings.read_text()) if cli.settings.exists() else {}
    cli.settings.write_text(json.dumps(before | cli.trust))
    (cli.work / ".aegis").mkdir()
    (cli.work / "link").symlink_to(cli.work / ".aegis")
    places = [".aegis.yaml", ".aegis/agents.yaml", "link/agents.yaml"]
    seats, _ = await acted(cli, model, tmp_path, permission, [cli.edit(cli.work / place) for place in places])
    assert [asked.kind for asked in seats.asked] == ["other" if permission == "write" else "edit"] * len(places)
    assert not (cli.work / ".aegis.yaml").exists() and list((cli.work / ".aegis").iterdir()) == []


@pytest.mark.ability("what governs it")
async def test_write_asks_before_it_edits_its_own_settings(cli: Cli, model: Model, tmp_path: Path) -> None:
    own = cli.work / (".gemini" if cli.driver.name == "gemini" else ".opencode") / "settings.json"
    seats, _ = await acted(cli, model, tmp_path, "write", [cli.edit(own)])
    assert [(asked.kind, asked.paths) for asked in seats.asked] == [("other", (str(own),))]
    assert not own.exists()


@pytest.mark.ability("what governs it")
@pytest.mark.parametrize("permission", ["read", "write", "full"])
async def test_it_never_reads_what_aegis_keeps(cli: Cli, model: Model, tmp_path: Path, permission: str) -> None:
    state = cli.work / ".aegis" / "state"
    state.mkdir(parents=True)
    for folder in (state, cli.work):
        (folder / "kept.txt").write_text("s3cret")
    gemini = isinstance(cli.driver, GeminiDriver)
    tool, key = ("read_file", "file_path") if gemini else ("read", "filePath")
    kept = f"{cli.work}/.aegis/state/kept.txt"
    places = [kept, ".aegis/state/kept.txt", f"{cli.work}/.aegis/../.aegis/state/kept.txt", "kept.txt"]
    acts = [tool_use(tool, **{key: place}) for place in places]
    await acted(cli, model, tmp_path, permission, acts)
    last = json.dumps(model.requests()[-1])  # Gemini tells nobody else what it has read
    assert last.count("s3cret") == 1, "of the plain file, and of no other"
