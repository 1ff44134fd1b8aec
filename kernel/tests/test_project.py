"""One kernel holds a project, and leaves it free however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from aegis.app import open_kernel
from aegis.errors import Busy


async def test_a_second_kernel_is_refused_and_told_whose_the_project_is(project: Path) -> None:
    async with open_kernel(project, plugins={}, environment={}):
        with pytest.raises(Busy, match=rf"already runs in .*pid {os.getpid()}"):
            async with open_kernel(project, plugins={}, environment={}):
                pytest.fail("two kernels ran in one project")
    async with open_kernel(project, plugins={}, environment={}):
        pass


def test_a_kernel_that_was_killed_leaves_the_project_free(project: Path) -> None:
    script = (
        "import sys, trio; from pathlib import Path; from aegis.app import open_kernel\n"
        "async def main():\n"
        "    async with open_kernel(Path(sys.argv[1]), plugins={}, environment={}):\n"
        "        print('up', flush=True); await trio.sleep_forever()\n"
        "trio.run(main)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(project)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "up\n"

        async def enter() -> None:
            async with open_kernel(project, plugins={}, environment={}):
                pass

        with pytest.raises(Busy, match=f"pid {other.pid}"):
            trio.run(enter)
        other.send_signal(signal.SIGKILL)
        other.wait()
        trio.run(enter)
