"""Runs: every step kept, played again after a crash, ended exactly once."""

from __future__ import annotations

import pytest
import trio
from workflow_stage import House, settled

from aegis import ConfigError, NotFound, Refused
from aegis.verbs import progress
from aegis_workflow.api import WorkflowError, get_workflow, workflow

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
    return [first.splitlines()[-1], second.splitlines()[-1]]


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
    return [text.splitlines()[-1] for text in said]


@workflow
async def delegates(engine):
    return (await engine.delegate("work", "count the stars")).splitlines()[-1]


@workflow
async def fickle(engine):
    if counted("fickle") == 1:
        await engine.sleep(0)
        await engine.ask_human("go on?")
    else:
        await engine.bash("true")


@workflow
async def tries(engine):
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


async def test_a_run_has_a_result_its_agents_are_gone_and_whoever_began_it_is_told(house: House):
    run = await house.begin("hello", name="Ada", times=2)
    row = await house.end(run)
    assert row.status == "ok"
    assert [text.splitlines()[-1] for text in row.result] == ["say hello to Ada (0)", "say hello to Ada (1)"]
    [letter] = house.mail()
    assert letter.startswith(f"> from workflow:hello · task#{run} · ok · ")
    assert list(house.kernel.roster) == []


async def test_arguments_are_typed_by_the_signature(house: House):
    with pytest.raises(Refused, match=r"name: Field required\. It takes: name, times"):
        await house.begin("hello")
    with pytest.raises(Refused, match="times: Input should be a valid integer"):
        await house.begin("hello", name="Ada", times="many")
    with pytest.raises(NotFound, match=r"there is no workflow 'helo' .*Did you mean 'hello'\?"):
        await house.begin("helo")
    assert get_workflow("two_phases") is get_workflow("two-phases")
    with pytest.raises(ConfigError, match="must be an async function whose first parameter is `engine`"):
        workflow(lambda engine: None)


async def test_a_failure_says_whether_it_was_foreseen(house: House):
    row = await house.end(await house.begin("fails", how="foreseen"))
    assert (row.status, row.error) == ("error", "the branch does not exist")
    row = await house.end(await house.begin("fails", how="not"))
    assert row.error == "unexpected: KeyError: 'page'"


async def test_after_a_crash_recorded_steps_are_played_and_no_turn_is_paid_for_twice(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        echo.driver.gated = True
        run = await house.begin("two-phases")
        await settled()
        [session] = echo.driver.sessions.values()
        session.gate.set()
        while "second" not in "".join(session.heard):
            session.gate = trio.Event()
            await settled()
        assert COUNT == {"between": 1}
    echo.driver.gated = False
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        row = await house.end(run)
        assert (row.status, row.result) == ("ok", ["first", "second"])
        assert COUNT == {"between": 2}, "the code between the steps ran again"
        heard = [r.data for r in kernel.ledger.book("mail").newest("accepted", 50)]
        heard = [d["body"] for d in reversed(heard) if d["sender"] == "workflow:two-phases" and "task_id" not in d]
        assert heard == ["first", "second"]


async def test_a_question_waits_through_a_restart_and_takes_only_what_it_offers(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        run = await house.begin("asks")
        await settled()
        assert (await house.call("workflow show", workflow_id=run)).asks == {"1": "which colour?"}
        with pytest.raises(Refused, match="'green' is none of the answers: blue, red"):
            await house.call("workflow answer", workflow_id=run, text="green")
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await settled()
        await house.call("workflow answer", workflow_id=run, text="blue")
        assert (await house.end(run)).result == "painted blue"


async def test_the_shell_is_a_step_and_one_cut_off_needs_a_word(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        row = await house.end(await house.begin("shell", cmd="echo hi; exit 3"))
        assert row.result == {"exit": 3, "out": "hi\n"}
        cmd = "echo x >> ran; [ $(wc -l < ran) -gt 1 ] || tail -f /dev/null"
        parked, again = await house.begin("shell", cmd=cmd), ""
        while not (project / "ran").exists():
            await settled()
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        row = await house.end(parked)
        assert row.status == "needs attention"
        assert "was under way when aegis stopped" in row.error
        again = await house.call("workflow decide", workflow_id=parked, decision="rerun")
        assert (await house.end(again.workflow_id)).result["exit"] == 0
        with pytest.raises(Refused, match="there is nothing to decide"):
            await house.call("workflow decide", workflow_id=parked, decision="skip")


async def test_parallel_steps_keep_their_places(house: House):
    row = await house.end(await house.begin("side_by_side"))
    assert row.result == ["left", "right"]
    log = await house.call("workflow logs", workflow_id=row.workflow_id)
    assert "3.1.1 send" in log and "3.2.1 send" in log


async def test_a_queue_does_a_step_once(house: House):
    row = await house.end(await house.begin("delegates"))
    assert row.result == "count the stars"


async def test_another_step_than_the_recorded_one_is_an_error_that_names_both(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        run = await House(kernel, echo).begin("fickle")
        await settled()
    async with kernel_with(**plugins) as kernel:
        row = await House(kernel, echo).end(run)
        assert row.status == "error"
        assert "step 1 was `sleep 0` and is now `bash true" in row.error


async def test_a_later_attempt_has_the_checkpoints_of_the_earlier_one(house: House):
    run = await house.begin("tries")
    assert (await house.end(run)).status == "error"
    await house.call("workflow retry", workflow_id=run)
    row = await house.end(run)
    assert (row.status, row.result, row.attempt) == ("ok", {"stage": 1}, 2)


async def test_a_timer_is_not_begun_anew_by_a_restart(kernel_with, plugins, echo, clock):
    async with kernel_with(**plugins) as kernel:
        run = await House(kernel, echo).begin("naps")
        await settled()
        clock.jump(3000)
        await settled()
    async with kernel_with(**plugins) as kernel:
        house = House(kernel, echo)
        await settled()
        clock.jump(599)
        await settled()
        assert (await house.call("workflow show", workflow_id=run)).status == "running"
        clock.jump(2)
        assert (await house.end(run)).status == "ok"


async def test_a_predicate_gives_an_agent_the_chance_to_mend_it(house: House):
    row = await house.end(await house.begin("green"))
    assert row.status == "error"
    assert "still exits with 3 after 3 attempts: red" in row.error


async def test_a_run_that_is_cancelled_leaves_nothing(house: House):
    house.echo.driver.gated = True
    run = await house.begin("hello", name="Ada")
    await settled()
    row = await house.call("workflow cancel", workflow_id=run)
    assert (row.status, row.error) == ("cancelled", "cancelled by human:anna")
    assert list(house.kernel.roster) == []
    assert f"task#{run} · error" in house.mail()[0]


async def test_a_record_is_played_against_the_code_of_now_and_nothing_is_done(house: House):
    run = await house.begin("hello", name="Ada", times=2)
    await house.end(run)
    heard = len(house.kernel.ledger.book("mail").newest("accepted", 100))
    said = await house.call("workflow replay", workflow_id=run)
    assert said == f"run {run} of hello: 3 steps played, the same steps"
    assert len(house.kernel.ledger.book("mail").newest("accepted", 100)) == heard
    assert list(house.kernel.roster) == []
    run = await house.begin("changes")
    await house.end(run)
    with pytest.raises(WorkflowError, match=r"step 1 was `now ?` and is now `sleep 0`"):
        await house.call("workflow replay", workflow_id=run)


@workflow
async def changes(engine):
    await (engine.now() if counted("changes") == 1 else engine.sleep(0))


async def test_whoever_waits_sees_each_step(house: House):
    said: list[str] = []
    with progress(said.append):
        row = await house.call("workflow run", name="hello", kwargs={"name": "Ada"}, wait=True)
    assert row.status == "ok"
    assert any("done · 2 send" in line for line in said)
