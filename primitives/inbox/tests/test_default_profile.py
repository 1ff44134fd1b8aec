"""With no profile named and none configured, the first provider whose CLI is installed is taken."""

from __future__ import annotations

import threading

import pytest
import trio

from aegis import Caller, DriverInfo, NotFound, Probe, Refused, hookimpl
from aegis.testing.echo import EchoDriver

ANNA = Caller("human", "anna")


class Provider(EchoDriver):
    """An echo under another name, which says whether its CLI is there."""

    def __init__(self, name: str, *, found: bool, fallback: bool = False) -> None:
        super().__init__()
        self.name, self.found, self.info = name, found, DriverInfo(fallback=fallback)
        self.looked: list[bool] = []
        self.wait: threading.Event | None = None

    def probe(self) -> Probe:
        self.looked.append(threading.current_thread() is threading.main_thread())
        if self.wait:
            self.wait.wait(10)
        return Probe(found=self.found)

    @hookimpl
    def aegis_drivers(self):
        return [self]


async def spawned(kernel, **args) -> str:
    return (await kernel.verbs.call(ANNA, "spawn", args)).profile


async def test_the_first_whose_cli_is_there_is_taken_and_looked_for_once_in_a_thread(kernel_with, plugins):
    last, absent, here = (
        Provider("aa", found=True, fallback=True),
        Provider("bb", found=False),
        Provider("cc", found=True),
    )
    plugins = {"inbox": plugins["inbox"], "aa": last, "bb": absent, "cc": here}
    async with kernel_with(**plugins) as kernel:
        assert kernel.snapshot()["default_agent"] == ""
        assert not absent.looked, "nobody needed it yet"
        assert [await spawned(kernel), await spawned(kernel)] == ["cc", "cc"]
        assert (last.looked, absent.looked, here.looked) == ([], [False], [False])
        await kernel.plugins.leave("cc")
        assert await spawned(kernel) == "aa", "only for want of another"


async def test_what_the_file_names_is_taken_and_nothing_is_looked_for(kernel_with, plugins, project):
    (project / ".aegis.yaml").write_text("agents:\n  mine: {provider: cc}\n")
    here = Provider("cc", found=True)
    async with kernel_with(inbox=plugins["inbox"], cc=here) as kernel:
        assert await spawned(kernel) == "mine"
        assert await spawned(kernel, agent="cc") == "cc"
        assert await spawned(kernel, agent="default") == "mine"
    assert here.looked == []


@pytest.mark.parametrize("provider", ["cc", "nobody"])
async def test_a_profile_called_default_is_meant_even_where_it_cannot_be_used(kernel_with, plugins, project, provider):
    text = f"agents:\n  mine: {{provider: cc}}\n  default: {{provider: {provider}}}\n"
    (project / ".aegis.yaml").write_text(text)
    async with kernel_with(inbox=plugins["inbox"], cc=Provider("cc", found=True)) as kernel:
        if provider == "cc":
            assert await spawned(kernel, agent="default") == "default"
        else:
            with pytest.raises(NotFound, match="nobody"):
                await spawned(kernel, agent="default")


async def test_without_any_cli_a_sentence_says_where_it_was_looked_for(kernel_with, plugins):
    async with kernel_with(inbox=plugins["inbox"], bb=Provider("bb", found=False)) as kernel:
        with pytest.raises(Refused, match=r"no agent CLI is installed \(looked for the CLIs of bb\)"):
            await spawned(kernel)


async def test_a_cli_that_is_slow_to_answer_stops_nobody_else(kernel_with, plugins):
    slow = Provider("cc", found=True)
    slow.wait = threading.Event()
    async with kernel_with(inbox=plugins["inbox"], cc=slow) as kernel, trio.open_nursery() as nursery:
        nursery.start_soon(spawned, kernel)
        while not slow.looked:
            await trio.lowlevel.checkpoint()
        assert await kernel.verbs.call(ANNA, "sessions") == []
        slow.wait.set()
