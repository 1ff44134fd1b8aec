"""The plane as a service: light to find, quiet, back after a crash, and gone without a trace."""

import logging
import os
import subprocess
import sys

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aegis_mcp.server_run import quiet

HEAVY = ("fastmcp", "mcp", "h11", "starlette", "uvicorn", "anyio")


def test_the_entry_module_imports_nothing_heavy():
    names = ",".join(HEAVY)
    code = (
        f"import sys, aegis_mcp.plugin, aegis_mcp.service; print([m for m in {names.split(',')} if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


async def test_the_terminal_stays_clean(scene, raw, capfd):
    await scene.spawn("alice")
    client = raw("alice")
    await client.hello()
    client.session = ""
    await client.post("no/such/method")
    await client.post("tools/call", {"name": 7}, number=3)
    await client.http.post(scene.url("alice"), content=b"{", headers=client.headers())
    async with scene.client("alice") as modern:
        await modern.call_tool("aegis_break")
        await modern.call_tool("aegis_no_such_tool")
    assert capfd.readouterr() == ("", "")


async def test_an_agent_inherits_nothing_of_the_planes_environment(scene):
    await scene.spawn("alice")
    assert [name for name in scene.driver.seats["alice"].env if name.startswith("FASTMCP")] == []
    assert os.environ["FASTMCP_LOG_ENABLED"] == "false"


async def test_errors_of_the_libraries_are_faults_and_the_rest_of_their_talk_is_not_heard(capfd):
    heard = []
    with quiet(lambda source, error: heard.append((source, str(error)))):
        for name in ("mcp.server.lowlevel", "fastmcp.server"):
            logging.getLogger(name).warning("session %s rejected", "x")
            logging.getLogger(name).error("%s crashed", name)
    assert heard == [("plane", f"{n} crashed") for n in ("mcp.server.lowlevel", "fastmcp.server")]
    assert capfd.readouterr() == ("", "")


async def test_a_plane_that_crashed_comes_back_at_its_port(scene, raw):
    await scene.spawn("alice")
    before = scene.plane.server_run
    with scene.kernel.bus.subscribe() as news:
        scene.plane.nursery.start_soon(crash)
        async for _ in news:
            if scene.kernel.bus.faults:
                break
    await scene.plane.up()
    assert scene.plane.server_run is not before
    client = raw("alice")
    await client.hello()
    assert "agent:alice" in (await client.call("aegis_whoami")).text
    assert [f.error for f in scene.kernel.bus.faults] == ["ValueError('crash')"]


async def crash():
    raise ValueError("crash")


async def test_a_kernel_that_is_cancelled_while_the_plane_comes_up_does_not_hang(open_scene):
    with trio.move_on_after(0.01):
        async with open_scene():
            pass
    with trio.fail_after(5):
        async with open_scene() as scene:
            await scene.spawn("alice")


async def test_the_plane_leaves_and_comes_back_at_its_port_while_the_kernel_runs(open_scene):
    async with open_scene() as scene:
        kernel, port = scene.kernel, scene.plane.port.number
        await kernel.plugins.leave("mcp")
        assert "plane status" not in [v.name for v in kernel.verbs] and scene.plane.server_run is None
        assert not [held for held in kernel.interceptors.held if held.owner == "mcp"]
        with pytest.raises(OSError):
            await trio.open_tcp_stream("127.0.0.1", port)
        await kernel.plugins.enter("mcp", scene.watched)
        await scene.plane.up()
        assert scene.watched.plane.port.number == port
        assert (await scene.status()).url.endswith(f":{port}/mcp")
        assert [f.error for f in kernel.faults] == []


async def test_settings_count_from_the_next_wait_on(scene, raw, clock):
    (scene.kernel.project.root / ".aegis.yaml").write_text("plugins: {mcp: {notice_after: 2}}\n")
    await scene.kernel.config.refresh()
    await scene.spawn("alice")
    await wait_all_tasks_blocked()
    clock.jump(2.1)
    await wait_all_tasks_blocked(0.01)
    assert scene.kernel.roster.find("alice").notes["mcp"].startswith("has not connected to the plane within 2 s")
