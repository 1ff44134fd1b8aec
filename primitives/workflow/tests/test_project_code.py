"""A workflow of the project's files: its code runs in a process of its own, and nothing of it in the kernel's."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
from workflow_stage import Stage, quiet

from aegis.testing.processes import runs
from aegis_workflow.api import WorkflowError
from aegis_workflow.testing import kept_at_every_write, replayed

FLOWS = '''
import os
import subprocess
import sys
from pathlib import Path

from aegis_workflow.api import BudgetExceeded, WorkflowError, get_workflow, list_workflows, workflow

print("the file is run", flush=True)


@workflow
async def where(engine):
    more = {"group": os.getpgid(0), "loaded": sorted(sys.modules)}
    return {"pid": os.getpid(), "path": sys.path, "cwd": os.getcwd(), **more}


@workflow("two-phases")
async def two_phases(engine, who: str):
    """Say two things."""
    Path("times").open("a").write("x")
    coder = await engine.spawn("coder", handle="my-coder")
    said = [await engine.send(coder, "first " + who)]
    print("between")
    engine.log("the middle")
    await engine.ask_human("go on?")
    said += await engine.parallel([engine.send(coder, "second"), engine.bash("echo {what}", what="a b")])
    return [said[0].splitlines()[-1].strip(), said[1].splitlines()[-1].strip(), said[2].stdout.strip()]


@workflow
async def spins(engine):
    Path("pid").write_text(str(os.getpid()))
    await engine.now()
    while True:
        pass


@workflow
async def leaves_children(engine):
    child = subprocess.Popen(["tail", "-f", "/dev/null"])
    away = subprocess.Popen(["tail", "-f", "/dev/null"], start_new_session=True)
    Path("pids").write_text(f"{child.pid} {away.pid}")
    await engine.ask_human("go on?")


@workflow
async def looks_up(engine):
    return {}["page"]


@workflow
async def ends(engine, how: str):
    match how:
        case "abort":
            os.abort()
        case "exit":
            os._exit(0)
        case "system-exit":
            raise SystemExit(3)
        case "foreseen":
            raise WorkflowError("the branch does not exist")
        case "import":
            import no_such_module
        case "memory":
            return len(bytearray(8_000_000_000))


@workflow
async def returns(engine, what: str):
    shell = await engine.bash("echo hi; echo oops >&2; exit 3")
    return {
        "shell": shell, "object": {"a": [1, object()]}, "bytes": b"x", "nan": [float("nan")], "text": "\\udc80",
        "large": "x" * 4_000_001, "path": Path("a"), "set": {2, 1}, "key": {(1, 2): 3},
    }[what]


@workflow
async def prints(engine, lines: int):
    for number in range(lines):
        print("line", number)
    print("ä\\u2028b", end="")


@workflow
async def errors(engine):
    found = []
    for call, kind in (
        (lambda: engine.spawn("nobody"), WorkflowError), (lambda: engine.checkpoint("x", object()), TypeError),
        (lambda: engine.send(), TypeError), (lambda: engine.bash("echo {a}", b=1), TypeError),
        (lambda: engine.bash("sleep 30", timeout=0), WorkflowError),
    ):
        try:
            await call()
        except kind as error:
            found.append(str(error))
    return found


@workflow
async def cleans(engine):
    try:
        await engine.ask_human("go on?")
    finally:
        Path("cleaned").touch()


@workflow
async def stubborn(engine):
    Path("began").touch()
    while True:
        try:
            await engine.bash("echo x >> ran; [ -e fine ] || exec tail -f /dev/null")
        except Exception:
            continue


@workflow
async def uses_others(engine):
    return [sorted(list_workflows())[:2], await get_workflow("other")(engine), get_workflow("nothing")]


@workflow
async def knows(engine, colour: str = "none"):
    return {"config": engine.config, "host": engine.host, "name": engine.name, "agents": engine.list_agents(),
            "sessions": engine.list_sessions(), "id": engine.workflow_id == engine._id}


knows.configure(shape="round", size=1)


@workflow
async def floods(engine):
    await engine.send("x" * 5_000_000, "y")
'''
OTHER = """
from aegis_workflow.api import workflow


@workflow
async def other(engine):
    return await engine.resume_state()
"""
TOO_LARGE = "write it to a file, return its path"


@pytest.fixture
def config(project) -> str:
    (project / "flows").mkdir()
    (project / "flows/flows.py").write_text(FLOWS)
    (project / "flows/other.py").write_text(OTHER)
    return (
        "agents:\n  coder: {provider: echo}\nqueues:\n  work: {agent: coder}\n"
        "workflows: {files: [flows/*.py], memory: 2000, config: {knows: {size: 2}}}\n"
    )


async def there(path: Path) -> None:
    """Wait until another process has made a file that is not empty."""
    with trio.fail_after(30):
        while not path.exists() or not path.read_text():
            await quiet()


async def gone(pid: int) -> None:
    with trio.fail_after(30):
        while runs(pid):
            await quiet()


async def test_it_runs_in_a_process_and_a_group_of_its_own_which_has_no_folder_of_the_project_on_its_path(stage: Stage):
    row = await stage.end(await stage.begin("where"))
    found, root = row.result, str(stage.kernel.project.root)
    assert found["pid"] != os.getpid() and found["group"] == found["pid"]
    assert found["cwd"] == root
    assert not {"", ".", root} & set(found["path"])
    assert not [name for name in sys.modules if name.startswith("aegis_project")], "nothing of it is here"
    assert not {"aegis.app", "aegis.agent", "aegis_ledger.ledger"} & set(found["loaded"]), (
        "nothing of the kernel is there"
    )
    assert not runs(found["pid"])


async def test_a_module_of_the_project_s_is_not_found_by_it(stage: Stage, project):
    (project / "no_such_module.py").write_text("raise SystemExit('stolen')")
    (project / "trio.py").write_text("raise SystemExit('stolen')")
    row = await stage.end(await stage.begin("ends", how="import"))
    assert row.error == "unexpected: ModuleNotFoundError: No module named 'no_such_module'"


async def test_recorded_steps_are_played_to_it_after_a_restart(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("two-phases", who="Ada")
        with trio.fail_after(30):
            while not (await stage.call("workflow show", workflow_id=run)).asks:
                await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.call("workflow answer", workflow_id=run, text="yes")
        row = await stage.end(run)
        assert (row.status, row.result) == ("ok", ["first Ada", "second", "a b"])
        assert (project / "times").read_text() == "xx", "its code ran twice"
        log = await stage.call("workflow logs", workflow_id=run)
        assert [log.count(text) for text in ("the file is run", "between", "the middle")] == [1, 1, 1]
        assert "4.1.1 send" in log and "4.2.1 bash" in log
        assert (await stage.call("workflow replay", workflow_id=run)).endswith("5 steps played, the same steps")
        assert (project / "times").read_text() == "xxx"


async def test_its_record_is_played_against_the_code_of_now(stage: Stage, project, tmp_path):
    run = await stage.begin("prints", lines=1)
    await stage.end(run)
    run = await stage.begin("uses_others")
    await stage.end(run)
    record = tmp_path / "record.jsonl"
    record.write_text(await stage.call("workflow record", workflow_id=run))
    assert "1 steps played" in await replayed(stage.kernel, record)
    (project / "flows/other.py").write_text(OTHER.replace("resume_state", "now"))
    with pytest.raises(WorkflowError, match="step 1 was `resume_state ` and is now `now "):
        await replayed(stage.kernel, record)


async def test_code_that_never_waits_is_ended_by_cancel_and_the_kernel_goes_on_meanwhile(stage: Stage, project):
    run = await stage.begin("spins")
    await there(project / "pid")
    assert (await stage.end(await stage.begin("where"))).status == "ok"
    row = await stage.call("workflow cancel", workflow_id=run)
    assert (row.status, runs(int((project / "pid").read_text()))) == ("cancelled", False)


async def test_what_it_started_ends_with_its_run(stage: Stage, project):
    run = await stage.begin("leaves_children")
    await there(project / "pids")
    await stage.call("workflow cancel", workflow_id=run)
    for pid in (project / "pids").read_text().split():
        await gone(int(pid))


async def test_a_stopped_kernel_leaves_no_process_of_it(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        await Stage(kernel, echo).begin("spins")
        await there(project / "pid")
    await gone(int((project / "pid").read_text()))


async def test_a_plugin_that_leaves_leaves_no_process_of_it(stage: Stage, project):
    await stage.begin("spins")
    await there(project / "pid")
    await stage.kernel.plugins.leave("workflow")
    await gone(int((project / "pid").read_text()))


async def test_its_cleaning_up_is_done_when_the_run_is_cancelled(stage: Stage, project):
    run = await stage.begin("cleans")
    with trio.fail_after(30):
        while not (await stage.call("workflow show", workflow_id=run)).asks:
            await quiet()
    await stage.call("workflow cancel", workflow_id=run)
    assert (project / "cleaned").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("abort", "the process of the workflow 'ends' was ended by SIGABRT"),
        ("exit", "the process of the workflow 'ends' exited with code 0"),
        ("system-exit", "unexpected: SystemExit: 3"),
        ("foreseen", "the branch does not exist"),
        ("memory", "unexpected: MemoryError"),
    ],
)
async def test_however_it_ends_that_is_said(stage: Stage, how, said):
    row = await stage.end(await stage.begin("ends", how=how))
    assert (row.status, row.error.startswith(said)) == ("error", True), row.error


async def test_what_kills_its_process_ends_the_run_with_an_error(stage: Stage, project):
    run = await stage.begin("spins")
    await there(project / "pid")
    os.kill(int((project / "pid").read_text()), signal.SIGKILL)
    row = await stage.end(run)
    assert (row.status, row.error) == ("error", "the process of the workflow 'spins' was ended by SIGKILL")


async def test_an_exception_is_logged_with_the_author_s_traceback_and_no_other_frames(stage: Stage):
    run = await stage.begin("looks_up")
    assert (await stage.end(run)).error == "unexpected: KeyError: 'page'"
    log = await stage.call("workflow logs", workflow_id=run)
    trace = log[log.index("Traceback") :].splitlines()
    assert [line.strip() for line in trace if "File" in line] == [
        f'File "flows/flows.py", line {FLOWS[: FLOWS.index(chr(123) + chr(125) + "[")].count(chr(10)) + 1}, in looks_up'
    ]
    assert trace[2].strip() == 'return {}["page"]' and trace[-1] == "KeyError: 'page'"


@pytest.mark.parametrize(
    ("what", "result", "error"),
    [
        ("shell", {"exit": 3, "stdout": "hi\n", "stderr": "oops\n"}, ""),
        ("path", "a", ""),
        ("set", [1, 2], ""),
        ("object", None, "the result of returns['a'][1] is no JSON: it is of the type object"),
        ("bytes", None, "the result of returns is no JSON: b'x'"),
        ("nan", None, "the result of returns[0] is no JSON: nan"),
        ("text", None, "the result of returns is no JSON: '\\udc80' is no text of Unicode"),
        ("key", None, "the result of returns is no JSON: (1, 2) is no key of an object"),
        ("large", None, "the result of returns has 4,000,003 bytes as JSON, and 4,000,000 are kept: " + TOO_LARGE),
    ],
)
async def test_a_result_is_json_or_the_run_fails_by_the_place_that_is_none(stage: Stage, what, result, error):
    row = await stage.end(await stage.begin("returns", what=what))
    assert (row.result, row.error) == (result, error)


async def test_what_it_prints_is_in_its_log_up_to_a_limit(stage: Stage):
    run = await stage.begin("prints", lines=1200)
    assert (await stage.end(run)).status == "ok"
    log = await stage.call("workflow logs", workflow_id=run)
    assert "logged · line 998\n" in log and "line 999" not in log
    assert log.count("it says more than 1,000 lines; the rest is not kept") == 1
    run = await stage.begin("prints", lines=0)
    await stage.end(run)
    assert "ä\u2028b" in await stage.call("workflow logs", workflow_id=run)


async def test_errors_of_calls_are_what_they_are_in_the_kernel(stage: Stage):
    row = await stage.end(await stage.begin("errors"))
    assert (row.status, row.error, len(row.result)) == ("ok", "", 5)
    assert "there is no profile 'nobody'" in row.result[0]
    assert row.result[1] == "engine.checkpoint['args'][1] is no JSON: it is of the type object"
    assert "missing 2 required positional arguments: 'handle' and 'prompt'" in row.result[2]
    assert row.result[3] == "the command has no place {b} for the value 'b'"


async def test_code_that_goes_on_though_a_person_must_decide_is_ended(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("stubborn")
        await there(project / "ran")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(run)
        assert row.status == "needs attention"
        await stage.call("workflow cancel", workflow_id=run)


async def test_workflows_of_other_files_and_of_this_process_s_kernel_can_be_called(stage: Stage):
    row = await stage.end(await stage.begin("uses_others"))
    assert (row.status, row.error) == ("ok", "")
    assert row.result[1:] == [None, None] and len(row.result[0]) == 2


async def test_it_knows_its_settings_and_who_it_is(stage: Stage):
    row = await stage.end(await stage.begin("knows"))
    assert row.result == {
        "config": {"shape": "round", "size": 2}, "host": "", "name": "knows", "agents": ["coder", "echo"],
        "sessions": [], "id": True,
    }  # fmt: skip


async def test_a_call_that_is_too_large_is_an_error_of_that_call(stage: Stage):
    row = await stage.end(await stage.begin("floods"))
    assert row.error.startswith("unexpected: ValueError: engine.send has 5,000,0")


async def test_a_file_that_has_changed_is_another_and_that_is_said(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("cleans")
        with trio.fail_after(30):
            while not (await stage.call("workflow show", workflow_id=run)).asks:
                await quiet()
    (project / "flows/flows.py").write_text(FLOWS.replace('Path("cleaned")', 'Path("swept")'))
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        with trio.fail_after(30):
            while not (await stage.call("workflow show", workflow_id=run)).asks:
                await quiet()
        await stage.call("workflow answer", workflow_id=run, text="yes")
        assert (await stage.end(run)).status == "ok"
        assert (project / "swept").exists()
        assert "its code has changed since it began" in await stage.call("workflow logs", workflow_id=run)


@pytest.mark.timeout(120)
async def test_killed_at_any_write_it_comes_to_the_same_end(kernel_with, plugins, echo, project, tmp_path):
    from aegis import open_kernel  # noqa: PLC0415 - as the others of its kind
    from aegis_workflow.testing import PERSON, begun, ended, paid  # noqa: PLC0415

    async def finish(kernel, run):
        with trio.fail_after(60):
            while not (row := await kernel.verbs.call(PERSON, "workflow show", {"workflow_id": run})).asks:
                if row.status in ("ok", "error"):
                    return row
                if row.status == "needs attention":
                    await kernel.verbs.call(PERSON, "workflow decide", {"workflow_id": run, "decision": "rerun"})
                await quiet()
        await kernel.verbs.call(PERSON, "workflow answer", {"workflow_id": run, "text": "yes"})
        return await ended(kernel, run)

    async with kernel_with(**plugins) as kernel, kept_at_every_write(kernel, tmp_path) as copies:
        run = await begun(kernel, "two-phases", who="Ada")
        whole = await finish(kernel, run)
        assert (whole.status, len(copies) > 10) == ("ok", True)
    for copy in copies[:: max(1, len(copies) // 8)]:
        async with open_kernel(copy, plugins=plugins, environment={"PATH": os.environ["PATH"]}) as kernel:
            row = await finish(kernel, run)
            assert (row.status, row.result) == ("ok", whole.result), (copy, row.error)
            assert [prompt for prompt, times in (await paid(kernel, "two-phases")).items() if times > 1] == [], copy
