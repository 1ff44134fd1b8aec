"""What a schedule begins: workflows with agents, ended whole; and whose act it is."""

from __future__ import annotations

import pytest
import trio

import aegis_queue.plugin
import aegis_workflow.plugin
import aegis_workflows.plugin
from aegis.testing.echo import EchoPlugin

pytestmark = pytest.mark.usefixtures("autojump")
HOUR = 3_600


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo) -> dict[str, object]:
    others = {"workflow": aegis_workflow.plugin, "workflows": aegis_workflows.plugin, "queue": aegis_queue.plugin}
    return {**others, "echo": echo}


def prompt(**more):
    return {"workflow": "prompt", "cron": "0 * * * *", "args": {"agent": "default", "message": "hello"}, **more}


@pytest.fixture(autouse=True)
def profiles(stage) -> None:
    agents = "agents: {reader: {provider: echo, permission: read}}\nqueues: {ci: {agent: echo}}\n"
    stage.head = f"default_agent: echo\n{agents}"


async def test_an_agent_is_started_asked_and_closed(stage, plugins) -> None:
    stage.write(briefing=prompt(lifecycle="once"))
    async with stage.open(**plugins) as kernel:
        await trio.sleep(HOUR + 60)
        sheet = await stage.call("show", name="briefing")
        assert (sheet.last_status, sheet.acts_for, [*kernel.roster.live()]) == ("ok", "human:root", [])
        logs = await stage.call("logs", name="briefing")
        assert "> from workflow:prompt" in logs
        assert "· begins, due 2026-01-05T11:00:00Z\n" in logs


async def test_the_run_of_a_task_lasts_as_long_as_the_task(stage, plugins, echo) -> None:
    entry = {"workflow": "enqueue", "cron": "*/10 * * * *", "args": {"queue": "ci", "payload": "check", "wait": True}}
    stage.write(watch=entry)
    echo.driver.gated = True
    async with stage.open(**plugins):
        await trio.sleep(1_900)
        assert (await stage.logs("watch")).count("skipped overlap") == 2
        echo.driver.gated = False
        for session in echo.driver.sessions.values():
            session.gate.set()
        await trio.sleep(700)
        assert (await stage.logs("watch")).count("ok") >= 1


@pytest.mark.parametrize(
    ("more", "status"), [({"timeout": 60}, "failed:timeout"), ({"on_overlap": "kill"}, "failed:killed")]
)
async def test_what_is_ended_leaves_no_agent(stage, plugins, echo, more, status) -> None:
    stage.write(stuck=prompt(cron="*/10 * * * *", lifecycle={"fires": 2}, **more))
    echo.driver.gated = True
    async with stage.open(**plugins) as kernel:
        await trio.sleep(660)
        assert len(kernel.roster.live()) == (0 if "timeout" in more else 1)
        await trio.sleep(600)
        assert status in await stage.logs("stuck")
        assert len(kernel.roster.live()) <= 1


async def test_what_was_under_way_is_ended_whole_after_a_restart(stage, plugins, echo) -> None:
    stage.write(stuck=prompt(lifecycle="once"))
    echo.driver.gated = True
    async with stage.open(**plugins) as kernel:
        await trio.sleep(HOUR + 60)
        assert len(kernel.roster.live()) == 1
    async with stage.open(**plugins) as kernel:
        await trio.sleep(60)
        assert (await stage.logs("stuck"))[-1] == "failed:interrupted"
        assert not kernel.roster.live()


async def test_what_an_agent_writes_is_its_act(stage, plugins) -> None:
    stage.write()
    async with stage.open(**plugins) as kernel:
        eve = await kernel.roster.spawn("reader", "eve")

        def entry(file) -> None:
            hourly = {"verb": "work do", "cron": "0 * * * *"}
            file["schedules"] = {"hers": hourly, "shell": {**hourly, "when": "true"}}

        kernel.config.edit(entry, "agent:eve")
        await trio.sleep(HOUR + 60)
        [caller] = stage.work.callers
        assert (str(caller), caller.principal, caller.agent_id) == ("schedule:hers", "agent:eve", eve.id)
        assert (await stage.call("show", name="hers")).acts_for == "agent:eve"
        assert "a person must write it" in (await stage.call("show", name="shell")).last_error
    async with stage.open(**plugins):
        await trio.sleep(HOUR)
        assert stage.work.callers[-1].principal == "agent:eve"
        await stage.reload(hers={"verb": "work do", "cron": "30 * * * *"})  # a person wrote it anew
        await trio.sleep(HOUR)
        assert stage.work.callers[-1].principal == "human:root"
