"""Runs: every step kept, played again after a crash, ended exactly once."""

from __future__ import annotations

import importlib.util
from contextlib import suppress

import pytest
import trio
from workflow_stage import Stage, quiet

import aegis_group.plugin
import aegis_reducers.plugin
from aegis import ConfigError, NotFound, Refused, hookimpl, open_kernel
from aegis.verbs import progress
from aegis_workflow.api import WorkflowError, get_workflow, workflow
from aegis_workflow.testing import PERSON, begun, ended, kept_at_every_write, replayed

COUNT: dict[str, int] = {}


def counted(what: str) -> int:
    COUNT[what] = COUNT.get(what, 0) + 1
    return COUNT[what]


@pytest.fixture(autouse=True)
def nothing_counted():
    COUNT.clear()


@workflow
async def hello(engine, name: str, times: int = 1):
    """Greet somebody."""
    coder = await engine.spawn("coder")
    return [await engine.send(coder, f"say hello to {name} ({n})") for n in range(times)]


@workflow("two-phases")
async def two_phases(engine):
    coder = await engine.spawn("coder", handle="my-coder")
    first = await engine.send(coder, "first")
    counted("between")
    second = await engine.send(coder, "second")
    return [first.splitlines()[-1].strip(), second.splitlines()[-1].strip()]


@workflow
async def asks(engine):
    answer = await engine.ask_human("which colour?", options=["red", "blue"])
    return f"painted {answer}"


@workflow
async def shell(engine, cmd: str, idempotent: bool = False):
    done = await engine.bash(cmd, idempotent=idempotent)
    return {"exit": done.exit, "out": done["stdout"]}


@workflow
async def fails(engine, how: str):
    if how == "foreseen":
        raise WorkflowError("the branch does not exist")
    raise KeyError("page")


@workflow
async def side_by_side(engine):
    one, two = await engine.spawn("coder"), await engine.spawn("coder")
    said = await engine.parallel([engine.send(one, "left"), engine.send(two, "right")])
    return [text.splitlines()[-1].strip() for text in said]


@workflow
async def delegates(engine):
    return (await engine.delegate("work", "count the stars")).splitlines()[-1].strip()


@workflow
async def fickle(engine):
    if counted("fickle") == 1:
        await engine.sleep(0)
        await engine.ask_human("go on?")
    else:
        await engine.bash("true")


@workflow
async def tries(engine):
    counted("tries")
    kept = await engine.resume_state()
    await engine.checkpoint("stage", {"stage": (kept or {}).get("stage", 0) + 1})
    if kept is None:
        raise WorkflowError("not yet")
    return kept


@workflow
async def naps(engine):
    await engine.sleep(3600)
    return await engine.now()


@workflow
async def green(engine):
    coder = await engine.spawn("coder")
    await engine.tell(coder, "you will be asked to make it green")
    await engine.drain()
    await engine.bash_predicate("test -e green || { echo red >&2; exit 3; }", retry_with="exit {exit}: {stderr}",
                                max_retries=2, to=coder)  # fmt: skip


async def test_a_run_has_a_result_its_agents_are_gone_and_whoever_began_it_is_told(stage: Stage):
    run = await stage.begin("hello", name="Ada", times=2)
    row = await stage.end(run)
    assert row.status == "ok"
    assert [text.splitlines()[-1].strip() for text in row.result] == ["say hello to Ada (0)", "say hello to Ada (1)"]
    [letter] = stage.mail()
    assert letter.startswith(f"> from workflow:hello · task#{run} · ok · ")
    assert list(stage.kernel.roster) == []


async def test_arguments_are_typed_by_the_signature(stage: Stage):
    with pytest.raises(Refused, match=r"name: Field required\. It takes: name, times"):
        await stage.begin("hello")
    with pytest.raises(Refused, match="times: Input should be a valid integer"):
        await stage.begin("hello", name="Ada", times="many")
    row = await stage.end(await stage.begin("lists", names="Ada"))
    assert row.result == ["Ada"], "a word where a list is wanted"
    schema = await stage.call("workflow arguments", name="hello")
    assert (schema["required"], schema["properties"]["times"]["default"]) == (["name"], 1)
    with pytest.raises(NotFound, match=r"there is no workflow 'helo' .*Did you mean 'hello'\?"):
        await stage.begin("helo")
    assert get_workflow("two_phases") is get_workflow("two-phases")
    with pytest.raises(ConfigError, match="must be an async function whose first parameter is `engine`"):
        workflow(lambda engine: None)


async def test_a_failure_says_whether_it_was_foreseen(stage: Stage):
    row = await stage.end(await stage.begin("fails", how="foreseen"))
    assert (row.status, row.error) == ("error", "the branch does not exist")
    row = await stage.end(await stage.begin("fails", how="not"))
    assert row.error == "unexpected: KeyError: 'page'"


async def test_after_a_crash_recorded_steps_are_played_and_no_turn_is_paid_for_twice(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        echo.driver.gated = True
        run = await stage.begin("two-phases")
        await quiet()
        [session] = echo.driver.sessions.values()
        session.gate.set()
        while "second" not in "".join(session.heard):
            session.gate = trio.Event()
            await quiet()
        assert COUNT == {"between": 1}
    echo.driver.gated = False
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(run)
        assert (row.status, row.result) == ("ok", ["first", "second"])
        assert COUNT == {"between": 2}, "the code between the steps ran again"
        heard = [r.data for r in kernel.ledger.book("mail").newest("accepted", 50)]
        heard = [d["body"] for d in reversed(heard) if d["sender"] == "workflow:two-phases" and "task_id" not in d]
        assert heard == ["first", "second"]


async def test_a_question_waits_through_a_restart_and_takes_only_what_it_offers(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("asks")
        await quiet()
        assert (await stage.call("workflow show", workflow_id=run)).asks == {"1": "which colour? (red | blue)"}
        with pytest.raises(Refused, match="'green' is not one of the answers: blue, red"):
            await stage.call("workflow answer", workflow_id=run, text="green")
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await quiet()
        await stage.call("workflow answer", workflow_id=run, text="blue")
        assert (await stage.end(run)).result == "painted blue"


async def test_the_shell_is_a_step_and_one_cut_off_needs_a_word(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(await stage.begin("shell", cmd="echo hi; exit 3"))
        assert row.result == {"exit": 3, "out": "hi\n"}
        cmd = "echo x >> ran; [ $(wc -l < ran) -gt 1 ] || tail -f /dev/null"
        parked, again = await stage.begin("shell", cmd=cmd), ""
        while not (project / "ran").exists():
            await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(parked)
        assert row.status == "needs attention"
        assert "was under way when aegis stopped" in row.error
        again = await stage.call("workflow decide", workflow_id=parked, decision="rerun")
        assert (await stage.end(again.workflow_id)).result["exit"] == 0
        with pytest.raises(Refused, match="there is nothing to decide"):
            await stage.call("workflow decide", workflow_id=parked, decision="skip")


@workflow
async def answers(engine, what: str):
    return {"shell": await engine.bash("echo hi"), "object": [object()], "large": "x" * 5_000_000}[what]


async def test_a_result_is_json_or_the_run_fails_by_name(stage: Stage):
    row = await stage.end(await stage.begin("answers", what="shell"))
    assert row.result == {"exit": 0, "stdout": "hi\n", "stderr": ""}
    row = await stage.end(await stage.begin("answers", what="object"))
    assert row.error == "the result of answers[0] is no JSON: it is of the type object"
    row = await stage.end(await stage.begin("answers", what="large"))
    assert row.error.startswith("the result of answers has 5,000,002 bytes as JSON")


async def test_parallel_steps_keep_their_places(stage: Stage):
    row = await stage.end(await stage.begin("side_by_side"))
    assert row.result == ["left", "right"]
    log = await stage.call("workflow logs", workflow_id=row.workflow_id)
    assert "3.1.1 send" in log and "3.2.1 send" in log


async def test_a_queue_does_a_step_once(stage: Stage):
    row = await stage.end(await stage.begin("delegates"))
    assert row.result == "count the stars"


async def test_another_step_than_the_recorded_one_is_an_error_that_names_both(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("fickle")
        await quiet()
    async with kernel_with(**plugins) as kernel:
        row = await Stage(kernel, echo).end(run)
        assert row.status == "error"
        assert "step 1 was `sleep 0` and is now `bash true" in row.error


async def test_a_later_attempt_has_the_checkpoints_of_the_earlier_one(stage: Stage):
    run = await stage.begin("tries")
    assert (await stage.end(run)).status == "error"
    await stage.call("workflow retry", workflow_id=run)
    row = await stage.end(run)
    assert (row.status, row.result, row.attempt) == ("ok", {"stage": 1}, 2)


async def test_a_timer_is_not_begun_anew_by_a_restart(kernel_with, plugins, echo, clock):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("naps")
        await quiet()
        clock.jump(3000)
        await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await quiet()
        clock.jump(599)
        await quiet()
        assert (await stage.call("workflow show", workflow_id=run)).status == "running"
        clock.jump(2)
        assert (await stage.end(run)).status == "ok"


async def test_a_predicate_gives_an_agent_the_chance_to_mend_it(stage: Stage):
    row = await stage.end(await stage.begin("green"))
    assert row.status == "error"
    assert "still exits with 3 after 3 attempts: red" in row.error


async def test_a_run_that_is_cancelled_leaves_nothing(stage: Stage):
    stage.echo.driver.gated = True
    run = await stage.begin("hello", name="Ada")
    await quiet()
    row = await stage.call("workflow cancel", workflow_id=run)
    assert (row.status, row.error) == ("cancelled", "cancelled by human:anna")
    assert list(stage.kernel.roster) == []
    assert f"task#{run} · error" in stage.mail()[0]


async def test_a_record_is_played_against_the_code_of_now_and_nothing_is_done(stage: Stage):
    run = await stage.begin("hello", name="Ada", times=2)
    await stage.end(run)
    heard = len(stage.kernel.ledger.book("mail").newest("accepted", 100))
    said = await stage.call("workflow replay", workflow_id=run)
    assert said == f"run {run} of hello: 3 steps played, the same steps"
    assert len(stage.kernel.ledger.book("mail").newest("accepted", 100)) == heard
    assert list(stage.kernel.roster) == []
    run = await stage.begin("changes")
    await stage.end(run)
    with pytest.raises(WorkflowError, match=r"step 1 was `now ?` and is now `sleep 0`"):
        await stage.call("workflow replay", workflow_id=run)


@workflow
async def changes(engine):
    await (engine.now() if counted("changes") == 1 else engine.sleep(0))


async def test_whoever_waits_sees_each_step(stage: Stage):
    said: list[str] = []
    with progress(said.append):
        row = await stage.call("workflow run", name="hello", kwargs={"name": "Ada"}, wait=True)
    assert row.status == "ok"
    assert any("done · 2 send" in line for line in said)


@workflow
async def careless(engine):
    try:
        await engine.bash("echo x >> ran; exec tail -f /dev/null")
        what = "fine"
    except Exception:  # noqa: BLE001
        what = "failed"
    await engine.checkpoint(what, 1)
    return "went on"


async def test_a_run_that_is_parked_takes_no_step_whatever_its_code_catches(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("careless")
        while not (project / "ran").exists():
            await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(run)
        assert row.status == "needs attention"
        assert "task#" + run in stage.mail()[-1] and "workflow decide" in stage.mail()[-1]
        await stage.call("workflow decide", workflow_id=run, decision="skip")
        row = await stage.end(run)
        assert (row.status, row.result) == ("ok", "went on"), "left out, the command is taken to have succeeded"


@pytest.mark.parametrize(("decision", "end"), [("fail", ("error", None)), ("skip", ("ok", {"exit": 0, "out": ""}))])
async def test_a_person_may_decide_that_it_failed_or_is_left_out(kernel_with, plugins, echo, project, decision, end):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("shell", cmd="echo x >> ran; exec tail -f /dev/null")
        while not (project / "ran").exists():
            await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await stage.end(run)
        await stage.call("workflow decide", workflow_id=run, decision=decision)
        row = await stage.end(run)
        assert (row.status, row.result) == end
        assert ("a person decided that it failed" in row.error) == (decision == "fail")


@workflow
async def shrinks(engine):
    await engine.now()
    if counted("shrinks") == 1:
        await engine.checkpoint("gone", 1)
    await engine.ask_human("go on?")


@workflow
async def widens(engine):
    if counted("widens") == 1:
        await engine.parallel([engine.now()])
    else:
        await engine.now()
    await engine.ask_human("go on?")


@workflow
async def ends_early(engine):
    await engine.now()
    if counted("ends_early") == 1:
        await engine.ask_human("go on?")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shrinks", "step 2 was `checkpoint gone` and is now `ask_human go on?"),
        ("widens", "step 1 was `parallel` and is now `now `"),
        ("ends_early", "step 2 was `ask_human go on?"),
    ],
)
async def test_steps_that_are_others_than_the_recorded_ones_are_named(kernel_with, plugins, echo, name, said):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin(name)
        await quiet()
    async with kernel_with(**plugins) as kernel:
        row = await Stage(kernel, echo).end(run)
        assert row.status == "error" and said in row.error


async def test_a_run_whose_workflow_is_gone_waits_until_it_is_back(kernel_with, plugins, echo):
    class Passing:
        def __init__(self, *offered):
            self.offered = offered

        @hookimpl
        def aegis_workflows(self):
            return self.offered

    async def passing(engine):
        return await engine.ask_human("go on?")

    async with kernel_with(**plugins, passing=Passing(passing)) as kernel:
        run = await Stage(kernel, echo).begin("passing")
        await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        row = await stage.end(run)
        assert row.status == "needs attention" and "there is no workflow 'passing' here any more" in row.error
        assert (await stage.end(await stage.begin("hello", name="Ada"))).status == "ok", "others go on"
    async with kernel_with(**plugins, passing=Passing(passing)) as kernel:
        stage = Stage(kernel, echo)
        await stage.call("workflow decide", workflow_id=run, decision="rerun")
        await quiet()
        await stage.call("workflow answer", workflow_id=run, text="yes")
        assert (await stage.end(run)).result == "yes"


async def test_code_that_changed_under_a_run_is_said(kernel_with, plugins, echo, tmp_path):
    source = tmp_path / "later.py"
    code = "async def later(engine):\n    await engine.ask_human('go on?')\n    return {!r}\n"

    def offered(word):
        source.write_text(code.format(word))
        spec = importlib.util.spec_from_file_location("later", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        class Later:
            @hookimpl
            def aegis_workflows(self):
                return [module.later]

        return Later()

    async with kernel_with(**plugins, later=offered("one")) as kernel:
        run = await Stage(kernel, echo).begin("later")
        await quiet()
    async with kernel_with(**plugins, later=offered("another")) as kernel:
        stage = Stage(kernel, echo)
        await quiet()
        await stage.call("workflow answer", workflow_id=run, text="yes")
        assert (await stage.end(run)).result == "another"
        assert "its code has changed since it began" in await stage.call("workflow logs", workflow_id=run)


async def test_who_waits_for_a_run_that_fails_is_told_by_an_error(stage: Stage):
    with pytest.raises(WorkflowError, match=r"of fails failed: the branch does not exist; `aegis workflow logs"):
        await stage.call("workflow run", name="fails", kwargs={"how": "foreseen"}, wait=True)
    run = await stage.begin("fails", how="foreseen")
    with pytest.raises(WorkflowError, match="failed: the branch does not exist"):
        await stage.call("workflow wait", workflow_id=run, follow=True)


async def test_a_record_is_played_in_a_test_of_another_project(stage: Stage, kernel_with, plugins, echo, tmp_path):
    run = await stage.begin("hello", name="Ada")
    await stage.end(run)
    record = tmp_path / "hello.jsonl"
    record.write_text(await stage.call("workflow record", workflow_id=run))
    (tmp_path / "other").mkdir()
    async with open_kernel(tmp_path / "other", plugins=plugins, environment={}) as other:
        assert await replayed(other, record) == f"run {run} of hello: 2 steps played, the same steps"
        record.write_text(record.read_text().replace("say hello", "say goodbye"))
        with pytest.raises(WorkflowError, match="step 2 was `send"):
            await replayed(other, record)


async def test_a_reply_is_what_an_agent_says_once_nothing_comes_to_it_any_more(stage: Stage):
    run = await stage.begin("waits_for_more")
    await quiet()
    [agent] = stage.kernel.roster
    post = stage.kernel.post
    agent.expect("task 7", "the end of a task")
    await post.deliver(post.envelope("human:anna", agent.id, "go"))
    stage.echo.driver.sessions[agent.id].gate.set()
    await quiet()
    assert (await stage.call("workflow show", workflow_id=run)).status == "running"
    await post.deliver(post.envelope("queue:work", agent.id, "the task's result", task_id="7"))
    agent.expect("task 7", "")
    assert (await stage.end(run)).result == "the task's result"


@workflow
async def waits_for_more(engine):
    coder = await engine.spawn("coder")
    engine._agent(coder).expect("task 7", "the end of a task")  # noqa: SLF001
    return (await engine.send(coder, "begin")).splitlines()[-1].strip()


@workflow
async def reviewed(engine):
    async with engine.ephemeral_group(["coder", "coder"]) as outer, engine.ephemeral_group(["coder"]) as inner:
        await engine.broadcast(outer, "look")
        first = await engine.wait_all(outer, reducer="join_by_handle")
        await engine.broadcast(inner, "look again")
        second = await engine.wait_any(inner)
        members = await engine.spawn_group("third", ["coder"])
        await engine.rename_group("third", "fourth")
        await engine.move_member(members["coder"], "fourth", "fifth")
        await engine.dissolve_group("fifth")
        return [sorted(first["reduced"]), second["winner"]]


@pytest.mark.timeout(90)
async def test_groups_are_steps_and_killed_at_any_write_nobody_is_asked_twice(kernel_with, plugins, echo, tmp_path):
    plugins = {**plugins, "group": aegis_group.plugin, "reducers": aegis_reducers.plugin}
    async with kernel_with(**plugins) as kernel, kept_at_every_write(kernel, tmp_path) as copies:
        run = await begun(kernel, "reviewed")
        whole = await ended(kernel, run)
        assert (whole.status, whole.error) == ("ok", "")
        assert whole.result == [["coder", "coder#2"], "coder"]
        assert list(kernel.roster) == []
    for copy in copies[:: max(1, len(copies) // 25)]:
        async with open_kernel(copy, plugins=plugins, environment={}) as kernel:
            row = await ended(kernel, run)
            assert row.status == "ok" and row.result[1] in ("coder", ""), (copy, row.error)
            said = [r.data for r in kernel.ledger.book("mail").newest("accepted", 1000)]
            asked = [d["recipient"] for d in said if "/broadcast:" in d["sender"]]
            assert len(asked) == len(set(asked)) == 3, copy
            assert [group.name for group in await kernel.verbs.call(PERSON, "group list")] == []


async def test_what_happens_at_once_happens_once(stage: Stage):
    run = await stage.begin("tries")
    await stage.end(run)

    async def again() -> None:
        with suppress(Refused):
            await stage.call("workflow retry", workflow_id=run)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(again)
    row = await stage.end(run)
    await quiet()
    assert (row.status, row.attempt, COUNT["tries"]) == ("ok", 2, 2)


async def test_a_log_is_not_said_again_when_a_run_is_played_again(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        run = await Stage(kernel, echo).begin("talks")
        await quiet()
    async with kernel_with(**plugins) as kernel:
        stage = Stage(kernel, echo)
        await quiet()
        await stage.call("workflow answer", workflow_id=run, text="yes")
        await stage.end(run)
        assert (await stage.call("workflow logs", workflow_id=run)).count("the beginning") == 1


@workflow
async def talks(engine):
    engine.log("the beginning")
    await engine.ask_human("go on?")


@workflow
async def lists(engine, names: list[str]):
    return names
