"""The kit runs async tests and fixtures, keeps time, and sees what is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from aegis.testing import leaks
from aegis.testing.processes import deafened

pytest_plugins = ["pytester"]


@pytest.fixture
async def one():
    await trio.lowlevel.checkpoint()
    return 1


@pytest.fixture
async def opened(one):
    journal = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        yield journal
        journal.append(one)
        nursery.cancel_scope.cancel()


class TestFixtures:
    @pytest.fixture
    async def mine(self, opened):
        self.here = True
        return opened

    async def test_are_entered_once_and_bound_to_the_instance(self, mine, opened):
        assert mine is opened
        assert self.here


async def test_time_jumps(autojump):
    before = autojump.now()
    await trio.sleep(3600)
    assert 3600 <= (autojump.now() - before).total_seconds() < 3601


async def test_kernel_time_is_trios(kernel, clock):
    before = kernel.clock.now()
    clock.jump(60)
    assert 60 <= (kernel.clock.now() - before).total_seconds() < 61


async def test_a_kernel_opened_twice_is_a_restart(kernel_with):
    async with kernel_with() as first:
        await first.ledger.book("b").append("x", "k", n=1)
    async with kernel_with() as second:
        assert [r.data for r in second.ledger.book("b").replay()[1]] == [{"n": 1}]


def outcome(pytester, source):
    pytester.makepyfile("import os, subprocess, pytest, trio\n" + source)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")


def test_a_failed_assert_in_a_nursery_looks_like_one(pytester):
    result = outcome(
        pytester,
        """
        async def test_it():
            async with trio.open_nursery():
                assert 1 == 2
        """.replace("\n        ", "\n"),
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   *assert 1 == 2"])
    result.stdout.no_fnmatch_line("*ExceptionGroup*")


def test_what_is_left_behind_fails_the_test(pytester):
    result = outcome(
        pytester,
        """
        KEPT = []

        async def test_process():
            KEPT.append(subprocess.Popen(["sleep", "60"]))

        async def test_descriptor():
            KEPT.append(os.open("/dev/null", os.O_RDONLY))

        @pytest.mark.leaks("on purpose")
        async def test_excused():
            KEPT.append(os.open("/dev/null", os.O_RDONLY))

        def test_clean_up():
            KEPT[0].kill()
            KEPT[0].wait()
        """.replace("\n        ", "\n"),
    )
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(
        ["*left behind: process * (sleep 60) still runs*", "*left behind: descriptor * (/dev/null)*"]
    )


def test_a_sync_test_with_an_async_fixture_is_told(pytester):
    result = outcome(pytester, "def test_it(kernel):\n    pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_it is no async test, but its fixture 'kernel' is async*"])


def test_leaks_sees_what_it_should(tmp_path):
    before = leaks.Held.now()
    assert leaks.left(before) == []
    file = os.open(tmp_path / "x", os.O_CREAT)
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert len(leaks.left(before)) == 2
    finally:
        os.close(file)
        child.kill()
        child.wait()
    assert leaks.left(before) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process ignores is seen in /proc")
def test_what_tests_start_hears_every_signal_though_the_run_does_not(pytester):
    """A run under `nohup`, or in the background of a script, has the same outcome as any other."""
    pytester.makepyfile(
        """
        import subprocess
        from aegis.testing.processes import DEAF_TO

        def test_it():
            grep = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
            said = subprocess.run(grep, capture_output=True, text=True).stdout
            masks = [int(line.split()[1], 16) for line in said.splitlines()]
            assert [mask & sum(1 << number - 1 for number in DEAF_TO) for mask in masks] == [0, 0]
        """
    )
    run = subprocess.run(deafened(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"), check=False)
    assert run.returncode == 0
