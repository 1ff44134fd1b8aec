"""What becomes of a task, whatever happens to its worker."""

from __future__ import annotations

import json

import pytest
import trio
from queue_stage import ANNA, Queues

from aegis import Caller, ConfigError, NotFound, Refused
from aegis.testing.vouches import Vouches
from aegis.verbs import progress

EVE = Caller("agent", "eve", "01eve")


async def test_a_task_is_done_by_a_worker_and_whoever_handed_it_over_is_told(queues: Queues):
    task = await queues.put("count the stars")
    status = await queues.end(task)
    assert (status.status, status.outcome, status.attempt) == ("completed", "ok", 1)
    assert "count the stars" in status.result
    [letter] = queues.mail()
    assert letter.startswith(f"> from queue:one · task#{task} · ok · ")
    assert "count the stars" in letter
    await queues.settled()
    assert queues.workers() == []


async def test_an_agent_is_woken_by_the_end_of_its_task(queues: Queues):
    lead = await queues.kernel.roster.spawn("echo", "lead")
    task = await queues.put("count", lead)
    assert f"task {task}" in lead.expecting
    await queues.end(task)
    await queues.settled()
    assert lead.expecting == {}
    [heard] = queues.echo.driver.sessions[lead.id].heard
    assert heard.startswith(f"> from queue:one · task#{task} · ok · ")
    assert heard.count("count") == 1


async def test_without_callback_nobody_is_told(queues: Queues):
    lead = await queues.kernel.roster.spawn("echo", "lead")
    await queues.end(await queues.put("count", lead, callback=False))
    await queues.settled()
    assert queues.echo.driver.sessions[lead.id].heard == []


async def test_the_cap_holds_and_the_next_goes_by_priority_then_by_arrival(queues: Queues):
    queues.echo.driver.gated = True
    first = await queues.put("first")
    await queues.settled()
    late, early = await queues.put("late"), await queues.put("early", priority=5)
    later = await queues.put("later")
    order = []
    for _ in range(4):
        await queues.settled()
        [worker] = queues.workers()
        [running] = (await queues.call("queue show", queue="one")).running
        order.append(running.id)
        queues.echo.driver.sessions[worker.id].gate.set()
    assert order == [first, early, late, later]


async def test_the_position_is_a_rank_and_0_means_now(queues: Queues):
    queues.echo.driver.gated = True
    places = [(await queues.call("enqueue", queue="one", payload=str(n))).queued_position for n in range(3)]
    assert places[0] == 0
    assert places[1:] == [1, 2]
    await queues.settled()
    assert (await queues.call("enqueue", queue="one", payload="x", priority=1)).queued_position == 1


async def test_a_delayed_task_begins_when_it_is_due(queues: Queues, autojump):
    began = trio.current_time()
    assert (await queues.end(await queues.put("later", delay=90))).outcome == "ok"
    assert 89 <= trio.current_time() - began <= 92


async def test_the_same_key_is_the_same_task_also_after_its_end_and_a_restart(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        ids: list[str] = []

        async def put() -> None:
            ids.append(await queues.put("once", key="nightly"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(put)
        assert len(set(ids)) == 1
        await queues.end(ids[0])
        assert await queues.put("once", key="nightly") == ids[0]
        assert (await queues.call("enqueue", queue="one", payload="once", key="nightly")).known
        assert await queues.put("once", queue="two", key="nightly") != ids[0], "a key belongs to its queue"
    async with kernel_with(**plugins) as kernel:
        assert await Queues(kernel, echo).put("once", key="nightly") == ids[0]


async def test_what_is_known_already_is_answered_though_nothing_new_would_be_taken(queues: Queues):
    """Whoever does not know whether its answer was lost may ask again, whatever became of the queue."""
    queues.echo.driver.gated = True
    ann, eve = [await queues.kernel.roster.spawn("echo", name) for name in ("ann", "eve")]
    task = await queues.put("once", ann, key="nightly")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: queues.call("queue drain", queue="one"))
        await queues.settled()
        again = await queues.call("enqueue", ann, queue="one", payload="once", key="nightly")
        assert (again.task_id, again.known, again.callback) == (task, True, True)
        other = await queues.call("enqueue", eve, queue="one", payload="once", key="nightly")
        assert (other.task_id, other.callback) == (task, False), "only who handed it over is called back"
        assert eve.expecting == {}
        queues.echo.driver.sessions[queues.workers()[0].id].gate.set()
    over = await queues.call("enqueue", ann, queue="one", payload="once", key="nightly")
    assert (over.task_id, over.callback) == (task, False), "there is nothing more to be told"


async def test_no_agent_takes_the_key_of_a_person_in_advance(queues: Queues):
    ann = await queues.kernel.roster.spawn("echo", "ann")
    task = await queues.put("nothing", ann, key="nightly")
    assert await queues.put("the work", key="nightly") != task
    assert await queues.put("nothing", ann, key="nightly") == task
    through = queues.kernel.roster.caller(ann).through("workflow")
    assert (await queues.call("enqueue", through, queue="one", payload="x", key="nightly")).task_id == task


@pytest.mark.parametrize("name", ["delay", "timeout"])
@pytest.mark.parametrize("seconds", [1e18, 1e308, float("inf"), float("nan")])
async def test_no_time_is_longer_than_a_date_can_say(queues: Queues, name: str, seconds: float):
    with pytest.raises(Refused, match=f"{name} is wrong"):
        await queues.call("enqueue", queue="one", payload="x", **{name: seconds})


async def test_dead_letters_are_found_whatever_came_after_and_put_back_all_at_once(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        await queues.call("queue pause", queue="two")
        lost = [await queues.put(str(n), queue="two") for n in range(3)]
        failed = [await queues.put(str(n), queue="two", after=[task]) for n, task in enumerate(lost)]
        for task in lost:
            await queues.call("task cancel", task_id=task)
        for task in failed:
            assert (await queues.end(task)).outcome == "dependency"
        for n in range(60):  # more than a list remembers
            await queues.end(await queues.put(str(n)))
        assert not {row.id for row in await queues.call("task list", queue="one", count=1000)} & set(failed)
        assert [row.id for row in await queues.call("task list", dead=True)] == failed[::-1]
        assert await queues.call("task list", queue="one", dead=True) == []
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        assert [row.id for row in await queues.call("task list", dead=True, count=2)] == failed[:0:-1]
        for task in lost:
            await queues.call("task retry", task_id=task)
        assert await queues.call("queue requeue", queue="two") == "3 tasks are back in two"
        assert await queues.call("task list", dead=True) == []
        await queues.call("queue resume", queue="two")
        assert [(await queues.end(task)).outcome for task in failed] == ["ok"] * 3


async def test_put_back_it_is_said_where_it_stands(queues: Queues):
    await queues.call("queue pause", queue="one")
    first, second = await queues.put("first"), await queues.put("second")
    await queues.call("task cancel", task_id=second)
    again = await queues.call("task retry", task_id=second)
    assert (again.queued_position, str(again)) == (2, f"task {second} in one: position 2")
    assert (await queues.status(first)).queued_position == 1


async def test_a_task_whose_queue_is_gone_waits_and_says_so(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        await queues.call("queue pause", queue="two")
        task = await queues.put("work", queue="two")
    (project / ".aegis.yaml").write_text("queues: {one: {agent: echo}}")
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        await queues.settled()
        status = await queues.status(task)
        assert (status.status, status.held) == ("pending", "there is no queue 'two' any more (queues: one)")
        assert await queues.call("task cancel", task_id=task) == f"task {task} is cancelled"


async def test_whoever_waits_is_told_how_far_it_is(queues: Queues):
    queues.echo.driver.gated = True
    first, second = await queues.put("first"), await queues.put("second")
    await queues.settled()
    said: list[str] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with progress(said.append):
                await queues.end(second)

        nursery.start_soon(wait)
        await queues.settled()
        assert said == ["it waits in one, position 1"]
        for task in (first, second):
            [worker] = [a for a in queues.workers() if a.handle == f"one-{task[-4:].lower()}"]
            queues.echo.driver.sessions[worker.id].gate.set()
            await queues.settled()
    assert said[1:] == [f"one-{second[-4:].lower()} works at it"]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{one: {agent: eccho}}", r"yaml: queues\.one\.agent: there is no profile 'eccho' .* Did you mean 'echo'\?"),
        ("{one: {max_parallel: 2}}", r"yaml:1: queues\.one\.agent: Field required"),
        (
            "{one: {agent: echo, max_paralel: 2}}",
            r"there is no setting 'max_paralel' here .* Did you mean 'max_parallel'",
        ),
        ("{One: {agent: echo}}", r"'One' is not a queue name: words of a-z and 0-9"),
        ("{one: {agent: echo, max_parallel: 0}}", r"yaml:1: queues\.one\.max_parallel: Input should be greater"),
        ("{one: {agent: echo, on_overload: explode}}", r"on_overload: 'explode' is none of 'wait' or 'fail'"),
        ("{one: {agent: echo, budgets: [{usd: 1, window: 1s}]}}", r"budgets\.0\.window: '1s' is not a window"),
    ],
)
async def test_a_queue_that_could_not_work_is_refused_at_the_start(kernel_with, plugins, project, config, sentence):
    (project / ".aegis.yaml").write_text(f"queues: {config}\n")
    with pytest.raises(ConfigError, match=sentence):
        async with kernel_with(**plugins):
            pass


async def test_a_queue_whose_profile_is_not_here_is_a_remark_and_its_tasks_wait_for_it(kernel_with, plugins, project):
    more = "agents: {far: {provider: distant}}\nqueues: {one: {agent: echo}, two: {agent: far}, three: {agent: away}}\n"
    (project / ".aegis.yaml").write_text(more)
    async with kernel_with(**plugins) as kernel:
        remarks = [remark for remark in kernel.config.remarks if "queues." in remark]
        assert [remark.endswith("Its tasks wait.") for remark in remarks] == [True, True]
        assert "queues.two.agent: the profile 'far' cannot be used: there is no provider 'distant'" in remarks[0]
        assert "queues.three.agent: there is no profile 'away'" in remarks[1]
        queues = Queues(kernel, plugins["echo"])
        with pytest.raises(NotFound, match="the profile 'far' cannot be used"):
            await queues.put("work", queue="two")
        assert (await queues.end(await queues.put("work"))).outcome == "ok"
        await queues.call("queue pause", queue="one")
        task = await queues.put("work")
        (project / ".aegis.yaml").write_text(more.replace("one: {agent: echo}", "one: {agent: far}"))
        await kernel.config.refresh()
        await queues.call("queue resume", queue="one")
        await queues.settled()
        assert "the profile 'far' cannot be used" in (await queues.status(task)).held
        (project / ".aegis.yaml").write_text(more)
        await kernel.config.refresh()
        assert (await queues.end(task)).outcome == "ok", "the changed configuration woke it"


async def test_what_comes_after_waits_and_ends_when_it_never_could_begin(queues: Queues):
    queues.echo.driver.gated = True
    first = await queues.put("first")
    second = await queues.put("second", queue="two", after=[first])
    third = await queues.put("third", queue="two", after=[second])
    await queues.settled()
    assert len(queues.workers()) == 1
    assert (await queues.status(second)).waits_for == (first,)
    await queues.call("task cancel", task_id=first)
    assert (await queues.end(second)).outcome == "dependency"
    status = await queues.end(third)
    assert (status.status, status.outcome) == ("failed", "dependency")
    assert second in status.error
    with pytest.raises(Refused, match=f"{first} is cancelled, so what comes after it could never begin"):
        await queues.put("fourth", after=[first])
    with pytest.raises(NotFound, match="there is no task 'nope'"):
        await queues.put("fifth", after=["nope"])


async def test_what_comes_after_begins_when_all_before_it_are_completed(queues: Queues):
    first, second = await queues.put("first"), await queues.put("second", queue="two")
    status = await queues.end(await queues.put("third", after=[first, second]))
    assert status.outcome == "ok"
    assert {(await queues.status(x)).status for x in (first, second)} == {"completed"}


async def test_cancelling_ends_it_wherever_it_is_and_tells_once(queues: Queues):
    queues.echo.driver.gated = True
    running, waiting = await queues.put("running"), await queues.put("waiting")
    await queues.settled()
    assert await queues.call("task cancel", task_id=waiting) == f"task {waiting} is cancelled"
    assert await queues.call("task cancel", task_id=running) == f"task {running} is cancelled"
    for task in (running, waiting):
        assert (await queues.status(task)).error == "cancelled by human:anna"
        with pytest.raises(Refused, match="has ended already: cancelled"):
            await queues.call("task cancel", task_id=task)
    assert [letter.splitlines()[0].split(" · ")[1] for letter in queues.mail()] == [
        f"task#{waiting}",
        f"task#{running}",
    ]
    await queues.settled()
    assert queues.workers() == []


async def test_an_agent_may_stop_and_repeat_only_what_it_handed_over(queues: Queues):
    queues.echo.driver.gated = True
    ann, eve = [await queues.kernel.roster.spawn("echo", name) for name in ("ann", "eve")]
    task = await queues.put("work", ann)
    with pytest.raises(Refused, match="agent:eve may cancel the tasks it handed over"):
        await queues.call("task cancel", eve, task_id=task)
    await queues.call("task cancel", ann, task_id=task)
    with pytest.raises(Refused, match="agent:eve may retry the tasks it handed over"):
        await queues.call("task retry", eve, task_id=task)


async def test_a_worker_that_is_renamed_or_closed_strands_nothing(queues: Queues):
    queues.echo.driver.gated = True
    task, other = await queues.put("work"), await queues.put("other")
    await queues.settled()
    [worker] = queues.workers()
    await queues.kernel.roster.rename(worker, "somebody-else")
    await queues.kernel.roster.close(worker, "closed by human:anna")
    status = await queues.end(task)
    assert (status.status, status.outcome) == ("cancelled", "cancelled")
    assert "closed by human:anna" in status.error
    await queues.settled()
    assert (await queues.status(other)).status == "running", "its place is free again"


async def test_a_task_ends_when_it_takes_too_long_and_its_last_words_are_told(queues: Queues, autojump):
    queues.echo.driver.gated = True
    status = await queues.end(await queues.put("slow", timeout=30))
    assert (status.status, status.outcome) == ("failed", "timed_out")
    assert status.error == "it took longer than 30 s"
    assert "It said nothing." in queues.mail()[0]


async def test_a_worker_that_says_nothing_is_said_to_be_silent(queues: Queues):
    queues.echo.driver.mute = True
    status = await queues.end(await queues.put("work"))
    assert (status.status, status.outcome, status.result) == ("completed", "silent", "")
    assert "The worker ended its turn without a word." in queues.mail()[0]


async def test_what_was_reported_is_the_result_and_not_the_last_message(queues: Queues):
    queues.echo.driver.gated = True
    task = await queues.put("work")
    await queues.settled()
    [worker] = queues.workers()
    said = await queues.call("report", worker, result={"bugs": 3}, artefacts=["report.md"])
    assert said == f"the result of task {task} is stored; end your turn"
    queues.echo.driver.sessions[worker.id].gate.set()
    status = await queues.end(task)
    assert (status.result, status.artefacts) == ('{"bugs":3}', ("report.md",))
    assert "Files: report.md" in queues.mail()[0]
    with pytest.raises(Refused, match="does not work at a task"):
        await queues.call("report", EVE, result="x")


MANY = json.dumps([{"n": n} for n in range(30_000)])
LIMITED = """
queues: {one: {agent: echo}}
plugins: {queue: {max_payload: 40, max_schema: 20, max_result: 30}}
"""
SCHEMA = {"type": "object", "properties": {"bugs": {"type": "integer"}}, "required": ["bugs"]}


async def test_a_result_must_fit_its_schema_and_is_asked_for_once_more(queues: Queues):
    task = await queues.put("work", result_schema=SCHEMA)
    status = await queues.end(task)
    assert status.outcome == "error"
    assert status.error.startswith(f"the result of task {task} must be JSON that fits its schema: ")
    assert status.error.endswith(", also when it was asked again")
    assert "aegis_report" in status.result, "it was asked, and only echoed the question"
    queues.echo.driver.gated = True
    task = await queues.put("work", result_schema=SCHEMA)
    await queues.settled()
    [worker] = queues.workers()
    with pytest.raises(Refused, match=r"does not fit its schema: \$\.bugs: 'three' is not of type 'integer'"):
        await queues.call("report", worker, result={"bugs": "three"})
    with pytest.raises(Refused, match="must be JSON that fits its schema"):
        await queues.call("report", worker, result="three bugs")
    await queues.call("report", worker, result='{"bugs": 3}')
    queues.echo.driver.sessions[worker.id].gate.set()
    assert (await queues.end(task)).result == '{"bugs":3}'
    with pytest.raises(Refused, match="result_schema is no JSON schema"):
        await queues.put("work", result_schema={"type": "nothing"})


@pytest.mark.parametrize("words", ['{"bugs": 3}', '```json\n{"bugs":\n 3}\n```\n'], ids=["plain", "fenced"])
async def test_a_last_message_that_fits_the_schema_is_the_result(queues: Queues, words):
    """No turn is paid for to have said again what was said already."""
    queues.echo.driver.gated = True
    task = await queues.put("work", result_schema=SCHEMA)
    await queues.settled()
    [worker] = queues.workers()
    session = queues.echo.driver.sessions[worker.id]
    session.heard[:] = [words]  # which is what it will say
    session.gate.set()
    status = await queues.end(task)
    assert (status.outcome, status.result) == ("ok", '{"bugs":3}')
    assert len(session.heard) == 1


@pytest.mark.parametrize(
    ("schema", "words", "why"),
    [
        ({"type": "string", "pattern": "(?=a)(a+)+$"}, "a" * 40 + "!", "cannot be judged within 1 s"),
        (
            {"type": "array", "uniqueItems": True},
            MANY,
            "cannot be judged within 1 s",
        ),
        ({"$ref": "#"}, "{}", "refers to itself"),
    ],
    ids=["pattern", "unique", "endless"],
)
async def test_a_schema_that_cannot_be_judged_fails_its_task_with_the_reason(queues: Queues, schema, words, why):
    queues.echo.driver.gated = True
    task = await queues.put("work", result_schema=schema)
    await queues.settled()
    [worker] = queues.workers()
    with pytest.raises(Refused, match=why):
        await queues.call("report", worker, result=words)
    session = queues.echo.driver.sessions[worker.id]
    session.heard[:] = [words]
    session.gate.set()
    status = await queues.end(task)
    assert (status.status, status.outcome) == ("failed", "error")
    assert why in status.error
    assert len(session.heard) == 1, "nobody was asked again for what cannot be judged"


async def test_a_pattern_that_re_never_ends_with_is_judged(queues: Queues):
    queues.echo.driver.gated = True
    await queues.put("work", result_schema={"type": "string", "pattern": "(a+)+$"})
    await queues.settled()
    [worker] = queues.workers()
    with pytest.raises(Refused, match="does not match"):
        await queues.call("report", worker, result="a" * 40 + "!")
    assert "is stored" in await queues.call("report", worker, result="a" * 40)


async def test_a_schema_refers_to_nothing_outside_itself(queues: Queues):
    for place in ("file:///etc/passwd", "http://127.0.0.1:1/schema"):
        with pytest.raises(Refused, match="nothing is fetched"):
            await queues.put("work", result_schema={"properties": {"a": {"$ref": place}}})


@pytest.mark.parametrize("config", [LIMITED], ids=["limited"])
async def test_a_task_holds_as_much_as_the_settings_allow(queues: Queues):
    with pytest.raises(Refused, match=r"41 characters; it takes 1 to 40 \(plugins\.queue\.max_payload\)"):
        await queues.put("x" * 41)
    with pytest.raises(Refused, match=r"24 characters, and plugins\.queue\.max_schema allows 20"):
        await queues.put("work", result_schema={"enum": ["long enough"]})
    status = await queues.end(await queues.put("x" * 31))  # which it says again
    assert status.outcome == "error"
    assert "plugins.queue.max_result allows 30" in status.error
    queues.echo.driver.gated = True
    await queues.put("work")
    await queues.settled()
    [worker] = queues.workers()
    for result, why in (("x" * 31, "31 bytes"), (["é" * 14], "32 bytes"), ("\ud800", "half a character")):
        with pytest.raises(Refused, match=why):
            await queues.call("report", worker, result=result)


async def test_a_worker_that_says_nothing_has_no_result_that_fits_even_any_string(queues: Queues):
    queues.echo.driver.mute = True
    status = await queues.end(await queues.put("work", result_schema={"type": "string"}))
    assert (status.outcome, status.error) == ("error", "no result was handed in, also when it was asked again")


async def test_a_task_is_not_over_while_something_is_still_to_come_to_its_worker(queues: Queues):
    queues.echo.driver.gated = True
    task = await queues.put("work", queue="two")
    await queues.settled()
    [worker] = queues.workers()
    session = queues.echo.driver.sessions[worker.id]
    child = await queues.put("child", worker)
    worker.expect("background", "a long build")
    session.gate.set()
    await queues.settled()
    assert (await queues.status(task)).status == "running", "a task of its own and background work are open"
    [helper] = [a for a in queues.workers() if a is not worker]
    queues.echo.driver.sessions[helper.id].gate.set()
    await queues.end(child)
    await queues.settled()
    assert f"task#{child}" in session.heard[1]
    assert (await queues.status(task)).status == "running"
    worker.expect("background", "")
    status = await queues.end(task)
    assert "Say the final result" in status.result
    assert len(session.heard) == 3


async def test_mail_that_comes_to_a_worker_is_read_before_its_task_is_over(queues: Queues):
    queues.echo.driver.gated = True
    task = await queues.put("work")
    await queues.settled()
    [worker] = queues.workers()
    await queues.kernel.post.deliver(queues.kernel.post.envelope("human:anna", worker.id, "look at the tests, too"))
    queues.echo.driver.sessions[worker.id].gate.set()
    assert "look at the tests, too" in (await queues.end(task)).result


async def test_a_task_no_worker_could_ever_take_is_refused_to_those_who_would_wait(queues: Queues):
    queues.echo.driver.gated = True
    await queues.put("work")
    await queues.settled()
    [worker] = queues.workers()
    with pytest.raises(Refused, match="every worker of one would then wait for a task that has no worker left"):
        await queues.put("child", worker)
    assert await queues.put("child", worker, callback=False)
    assert await queues.put("child", worker, queue="two")


async def test_paused_nothing_begins_and_drained_nothing_is_taken(kernel_with, plugins, echo):
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        await queues.call("queue pause", queue="one")
        task = await queues.put("work")
        await queues.settled()
        assert (await queues.status(task)).held == "one is paused"
    async with kernel_with(**plugins) as kernel:
        queues = Queues(kernel, echo)
        await queues.settled()
        assert (await queues.status(task)).status == "pending", "also after a restart"
        await queues.call("queue resume", queue="one")
        assert (await queues.end(task)).outcome == "ok"
        echo.driver.gated = True
        last = await queues.put("last")
        await queues.settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: queues.call("queue drain", queue="one"))
            await queues.settled()
            with pytest.raises(Refused, match="one is being drained and takes no task"):
                await queues.put("too late")
            echo.driver.sessions[queues.workers()[0].id].gate.set()
        assert (await queues.status(last)).outcome == "ok"


async def test_bad_input_is_answered_with_what_there_is(queues: Queues):
    with pytest.raises(NotFound, match=r"there is no queue 'tow' \(queues: one, two\)\. Did you mean 'two'\?"):
        await queues.put("x", queue="tow")
    with pytest.raises(Refused, match="the payload has 2 characters"):
        await queues.put("  ")
    with pytest.raises(NotFound, match="there is no task 'zzz'; `aegis task list` shows"):
        await queues.status("zzz")
    task = await queues.put("x")
    assert (await queues.status(task[-6:].lower())).task_id == task
    await queues.end(task)
    with pytest.raises(Refused, match="only one that failed or was cancelled is tried again"):
        await queues.call("task retry", ANNA, task_id=task)


async def test_a_task_that_was_cancelled_can_be_tried_again(queues: Queues):
    await queues.call("queue pause", queue="one")
    task = await queues.put("work")
    await queues.call("task cancel", task_id=task)
    await queues.call("queue resume", queue="one")
    await queues.call("task retry", task_id=task)
    assert (await queues.end(task)).outcome == "ok"
    [row] = [row for row in await queues.call("queue list") if row.name == "one"]
    assert (row.completed, row.cancelled) == (1, 0)


@pytest.mark.parametrize(
    "config",
    [
        "agents:\n  timid: {provider: echo, permission: read}\n  bold: {provider: echo, permission: full}\n"
        "queues:\n  one: {agent: bold}\n"
    ],
)
async def test_an_agent_gets_no_more_through_a_queue_than_by_spawning(queues: Queues):
    timid = await queues.kernel.roster.spawn("timid", "timid")
    with pytest.raises(Refused, match="timid may start agents of its own profile here, and not of 'bold'"):
        await queues.put("work", timid)
    queues.kernel.interceptors.add(Vouches())
    assert (await queues.end(await queues.put("work", timid))).outcome == "ok"


async def test_a_task_comes_after_so_many_others_at_most(queues: Queues):
    first = await queues.put("work")
    with pytest.raises(Refused, match=r"after is wrong: .*at most 100"):
        await queues.put("work", after=(first,) * 101)


@pytest.mark.parametrize(
    "rest", ["\n" * 500_000 + "x", " \n" * 300_000 + "```x", "`" * 500_000], ids=["ends", "fence", "marks"]
)
async def test_a_code_block_without_an_end_is_read_at_once(queues: Queues, rest):
    """A pattern would try each line end as the last one, with all that follow: for hours."""
    queues.echo.driver.gated = True
    await queues.put("work", result_schema=SCHEMA)
    await queues.settled()
    [worker] = queues.workers()
    with pytest.raises(Refused, match="must be JSON that fits its schema"):
        await queues.call("report", worker, result=f"```\n{rest}")
    assert "is stored" in await queues.call("report", worker, result='\n```json\n{"bugs": 3}```\n')
