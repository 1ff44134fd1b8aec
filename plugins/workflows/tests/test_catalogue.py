"""The catalogue, end to end: with agents that really change files, and killed at every write."""

from __future__ import annotations

import json
import subprocess
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import trio

from aegis import Probe, Profile, hookimpl
from aegis.events import SessionStarted, Text, TurnEnded
from aegis_workflow.testing import PERSON, begun, end_after_a_kill, ended, kept_at_every_write, paid
from aegis_workflows.plan import slices

PLAN = "# The plan\n\n## Slice 1 — the door\nMake a door.\n\n## Slice 2 - the key\nMake a key.\n\n## Notes\nNone.\n"


class Coder:
    """An agent that does what it is asked in its folder: writes the test, then the code; it repeats what it heard."""

    def __init__(self, cwd: Path, session_id: str) -> None:
        self._cwd, self.session_id = cwd, session_id
        self._send, self._receive = trio.open_memory_channel(10)

    async def send(self, prompt: str) -> None:
        (self._cwd / "tests").mkdir(exist_ok=True)
        if "Write a test" in prompt:
            (self._cwd / "tests" / "test_door.py").write_text("a test")
        if "Now make" in prompt:  # wrong at first: it must be told
            (self._cwd / "tests" / "door.py").write_text("wrong")
        if "still fail" in prompt:
            (self._cwd / "tests" / "door.py").write_text("right")
        if "Do slice" in prompt:
            (self._cwd / f"slice-{prompt.split('Do slice ')[1][0]}").write_text("done")
        await self._send.send(
            [SessionStarted(self.session_id), Text(prompt.splitlines()[-1].strip()), TurnEnded("completed")]
        )

    async def receive(self):
        return await self._receive.receive()

    async def interrupt(self) -> None:
        await trio.lowlevel.checkpoint()


class Coders:
    name, settings, resumes = "coder", Profile, True

    @asynccontextmanager
    async def open(self, seat):
        yield Coder(seat.cwd, seat.resume or seat.agent_id)

    def probe(self) -> Probe:
        return Probe(True)

    @hookimpl
    def aegis_drivers(self):
        return [self]


def loaded(*names: str) -> dict[str, object]:
    return {name: next(iter(entry_points(group="aegis.plugins", name=name))).load() for name in names}


@pytest.fixture
def plugins(project):
    coder = {"provider": "coder"}
    tests = "grep -q right tests/door.py && test -e {path} || {{ echo FAIL: no door; exit 1; }}"
    config = {
        "tdd_cycle": {"implementer": "coder", "reviewer": "coder", "test_command": tests},
        "execute_plan": {"implementer": "coder", "verify": "ls slice-*"},
        "review_branch": {"reviewers": ["coder", "critic"]},
        "brainstorm_to_spec": {"writer": "coder"},
    }
    body = {"agents": {"coder": coder, "critic": coder}, "workflows": {"config": config}}
    (project / ".aegis.yaml").write_text(json.dumps(body))
    (project / "plan.md").write_text(PLAN)
    return {"coder": Coders(), **loaded("inbox", "workflow", "workflows")}


async def test_tdd_has_a_test_that_fails_then_code_that_passes_then_a_review(kernel, project):
    row = await ended(kernel, await begun(kernel, "tdd_cycle", feature="a door", test_path="tests/test_door.py"))
    assert (row.status, row.error) == ("ok", "")
    assert row.result["test_path"] == "tests/test_door.py"
    assert (project / "tests" / "door.py").read_text() == "right", "it was wrong at first, and was told so"
    assert list(kernel.roster) == []


async def test_a_plan_is_done_slice_by_slice(kernel, project):
    assert [(number, title) for number, title, _ in slices(PLAN)] == [("1", "the door"), ("2", "the key")]
    row = await ended(kernel, await begun(kernel, "execute_plan", plan_path="plan.md"))
    assert (row.status, row.result["slices"].keys()) == ("ok", {"1", "2"})
    assert (project / "slice-1").exists() and (project / "slice-2").exists()
    (project / "empty.md").write_text("nothing")
    row = await ended(kernel, await begun(kernel, "execute_plan", plan_path="empty.md"))
    assert "empty.md has no `## Slice N — title`" in row.error


async def test_a_branch_is_reviewed_by_several_and_the_report_is_written(kernel, project):
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
        subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "plan.md")
    git("commit", "-qm", "the plan")
    git("checkout", "-qb", "feat/door")
    (project / "door.py").write_text("open = True\n")
    git("add", "door.py")
    git("commit", "-qm", "a door")
    row = await ended(kernel, await begun(kernel, "review_branch"))
    assert (row.status, row.error) == ("ok", "")
    report = (project / row.result["report"]).read_text()
    assert report.startswith("# Review of feat/door against main\n\n## coder\n\n")
    assert "+open = True" in report and "## critic" in report


async def test_a_spec_is_asked_for_and_written(kernel, project):
    run = await begun(kernel, "brainstorm_to_spec", topic="A Door")
    for n in range(5):
        while not (await kernel.verbs.call(PERSON, "workflow show", {"workflow_id": run})).asks:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await kernel.verbs.call(PERSON, "workflow answer", {"workflow_id": run, "text": f"answer {n}"})
    row = await ended(kernel, run)
    assert row.result.endswith("-a-door-design.md")
    assert "answer 4" in (project / row.result).read_text()


async def test_a_plan_that_is_tried_again_goes_on_with_the_slice_that_failed(kernel_with, plugins, project):
    config = json.loads((project / ".aegis.yaml").read_text())
    config["workflows"]["config"]["execute_plan"] |= {"verify": "test ! -e slice-2 || test -e key"}
    (project / ".aegis.yaml").write_text(json.dumps(config))
    async with kernel_with(**plugins) as kernel:
        await retried(kernel, project)


async def retried(kernel, project):
    run = await begun(kernel, "execute_plan", plan_path="plan.md")
    row = await ended(kernel, run)
    assert row.status == "error" and "still exits with 1 after 4 attempts" in row.error
    (project / "key").touch()
    await kernel.verbs.call(PERSON, "workflow retry", {"workflow_id": run})
    row = await ended(kernel, run)
    assert (row.status, row.result["slices"].keys()) == ("ok", {"1", "2"})
    counts = await paid(kernel, "execute_plan")
    first = [count for prompt, count in counts.items() if prompt.startswith("Do slice 1")]
    assert first == [1], "what was done is not paid for again"


def test_what_is_code_in_a_plan_is_no_slice():
    plan = "## Slice 1 – one\nSay:\n```sh\n## Slice 2 — none\n## more\n```\nend\n## Slice 3 - three\n"
    assert slices(plan) == [("1", "one", "Say:\n```sh\n## Slice 2 — none\n## more\n```\nend"), ("3", "three", "")]


@pytest.mark.parametrize(
    ("plan", "titles"),
    [
        ("````\n```\n## Slice 1 - code\n````\n## Slice 2 - b", ["b"]),
        ("~~~\n```\n## Slice 1 - code\n~~~\n## Slice 2 - b", ["b"]),
        ("```\n```sh\n## Slice 1 - code\n```  \n## Slice 2 - b", ["b"]),
        ("```\n## Slice 1 - a\n## Slice 2 - b", ["a", "b"]),  # never closed: nothing is lost
        ("````\n## Slice 1 - a\n```\n## Slice 2 - b", ["a", "b"]),
        ("```\n## Slice 1 - code\n```\n~~~\n## Slice 2 - b", ["b"]),
        ("## Slice 1\n- x\n## Slice 2 -  \n## Slice 3 - c\r\n## Slice x - d", ["c"]),
    ],
)
def test_a_fence_ends_where_one_like_it_closes_it(plan, titles):
    assert [title for _, title, _ in slices(plan)] == titles


@pytest.mark.parametrize(
    "plan",
    ["````" * 500_000, "```x\n" * 400_000, "~~~~\n```\n" * 200_000, "## Slice 1 - a" + " " * 2_000_000 + "b",
     "## Slice 1 -\n" * 100_000, "".join(f"{'`' * (3 + n % 50)}\n" for n in range(60_000))],
    ids=["one line", "openings", "two kinds", "spaces", "headings", "lengths"],
)  # fmt: skip
def test_a_long_plan_takes_a_time_like_its_length(plan):
    """Not measured: with a time that grows faster, this would not end within the tests' own limit."""
    slices(plan)


async def test_the_built_ins_of_schedules(kernel_with, plugins, project):
    body = json.loads((project / ".aegis.yaml").read_text()) | {"queues": {"work": {"agent": "coder"}}}
    (project / ".aegis.yaml").write_text(json.dumps(body))
    async with kernel_with(**plugins, **loaded("queue")) as kernel:
        assert (await ended(kernel, await begun(kernel, "prompt", agent="coder", text="hello"))).result == "hello"
        assert (await ended(kernel, await begun(kernel, "prompt", agent="coder", message="hi"))).result == "hi"
        assert "there is nothing to say" in (await ended(kernel, await begun(kernel, "prompt", agent="coder"))).error
        task = (await ended(kernel, await begun(kernel, "enqueue", queue="work", payload="count"))).result
        assert (await kernel.verbs.call(PERSON, "task wait", {"task_id": task})) is not None
        names = [row.name for row in await kernel.verbs.call(PERSON, "workflow list")]
        assert {"brainstorm_to_spec", "enqueue", "execute_plan", "prompt", "review_branch", "tdd_cycle"} <= set(names)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("tdd_cycle", {"feature": "a door", "test_path": "tests/test_door.py"}),
        ("execute_plan", {"plan_path": "plan.md"}),
    ],
)
async def test_killed_at_any_write_the_end_is_the_same_and_no_turn_is_paid_for_twice(
    kernel_with, plugins, tmp_path, name, kwargs
):
    async with kernel_with(**plugins) as kernel, kept_at_every_write(kernel, tmp_path) as copies:
        run = await begun(kernel, name, **kwargs)
        whole = await ended(kernel, run)
    assert (whole.status, len(copies) > 20) == ("ok", True)
    for copy in copies:
        row, turns = await end_after_a_kill(copy, plugins, run, {"PATH": "/usr/bin:/bin"})
        assert (row.status, row.error, row.result) == ("ok", "", whole.result), copy
        assert [prompt for prompt, times in turns.items() if times > 1] == [], copy
