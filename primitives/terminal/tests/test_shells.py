"""Real shells: each command has one end, with its own code and its own words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from terminal_stage import POSIX, SHELLS, Stage, installed, until

from aegis import Refused
from aegis.testing.processes import runs, those

each = pytest.mark.parametrize("shell", installed(*SHELLS))
posix = pytest.mark.parametrize("shell", installed(*POSIX))
KINDS = ("D;0", "A", "B", "C", "D;99")
hooked = pytest.mark.parametrize("shell", installed("bash", "zsh"))


@each
async def test_exit_codes_and_output(stage: Stage, shell: str):
    await stage.spawn(shell)
    assert await stage.said("true") == (0, "")
    assert await stage.said("false") == (1, "")
    assert await stage.said("echo one; echo two") == (0, "one\ntwo\n")
    assert await stage.said("sh -c 'exit 42'") == (42, "")
    assert await stage.said("printf 'no newline'") == (0, "no newline")
    assert await stage.said("sh -c 'kill -9 $$'") == (137, await ended_by_signal(stage))


async def ended_by_signal(stage: Stage) -> str:
    return (await stage.call("read", name="build", last_n=1))[0].stdout  # shells differ in what they say of it


@posix
async def test_the_exit_code_of_the_command_before_is_seen(stage: Stage, shell: str):
    await stage.spawn(shell)
    await stage.run("(exit 7)")
    assert await stage.said("echo $?") == (0, "7\n")
    await stage.run("true")
    assert await stage.said("echo $?") == (0, "0\n")


@each
async def test_folder_and_variables_are_kept(stage: Stage, shell: str):
    (stage.kernel.project.root / "sub").mkdir()
    await stage.spawn(shell)
    await stage.run("cd sub")
    assert (await stage.said("pwd"))[1] == f"{stage.kernel.project.root}/sub\n"
    await stage.run("set -gx FOO bar" if shell == "fish" else "export FOO=bar")
    assert await stage.said("sh -c 'echo $FOO'") == (0, "bar\n")


@posix
async def test_what_spans_lines(stage: Stage, shell: str):
    await stage.spawn(shell)
    here = "cat <<'END'\nfirst $HOME\n\tsecond `x` \"quoted\"\nEND\necho after"
    assert await stage.said(here) == (0, 'first $HOME\n\tsecond `x` "quoted"\nafter\n')
    assert await stage.said("for n in 1 2 3\ndo\n  echo $n\ndone\nfalse") == (1, "1\n2\n3\n")
    assert await stage.said('greet() {\n  echo "hello $1"\n}') == (0, "")
    assert await stage.said("greet 'a\nb'") == (0, "hello a\nb\n")
    assert await stage.said("# only a comment") == (0, "")
    assert await stage.said("echo a # b\necho c") == (0, "a\nc\n")


@pytest.mark.parametrize("shell", installed("fish"))
async def test_what_spans_lines_in_fish(stage: Stage, shell: str):
    await stage.spawn(shell)
    assert await stage.said("for n in 1 2 3\n  echo $n\nend\nfalse") == (1, "1\n2\n3\n")
    assert await stage.said("function greet\n  echo hello $argv\nend\ngreet you") == (0, "hello you\n")


@each
async def test_a_syntax_error_is_an_end_like_any(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("if then ( echo" if shell != "fish" else "for ( end")
    assert run.exit not in (0, None)
    assert run.stdout
    assert await stage.said("echo still here") == (0, "still here\n")


@posix
async def test_quotes_that_do_not_close(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("echo 'unclosed")
    assert run.exit not in (0, None)
    assert await stage.said("echo still here") == (0, "still here\n")


@each
async def test_ctrl_c_ends_a_command_and_not_the_shell(stage: Stage, shell: str):
    row = await stage.spawn(shell)
    async with trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await stage.shows("begun")
            await stage.call("keys", name="build", keys="ctrl-c")

        nursery.start_soon(interrupt)
        run = await stage.run("echo begun; sleep 600")
    assert run.exit == 130
    assert run.stdout.startswith("begun\n")
    assert await stage.said("echo next") == (0, "next\n")
    assert (await stage.call("list"))[0].pid == row.pid


@hooked
async def test_ctrl_c_leaves_a_loop_and_the_lines_after_it(stage: Stage, shell: str):
    await stage.spawn(shell)
    async with trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await stage.shows("begun")
            await stage.call("keys", name="build", keys="ctrl-c")

        nursery.start_soon(interrupt)
        run = await stage.run("echo begun\nwhile true; do sleep 0.1; done\necho never")
    assert "never" not in run.stdout
    assert run.exit == 130


@each
async def test_exit_ends_the_terminal_and_its_run(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("echo last words; exit 3")
    assert (run.exit, run.stderr, run.timed_out) == (None, "pty closed", False)
    assert run.stdout.removesuffix("exit\n") == "last words\n"  # bash says so itself
    await stage.state("closed")
    with pytest.raises(Refused, match="is closed: its shell ended with 3; `term spawn build` opens"):
        await stage.run("echo more")
    await stage.spawn(shell)
    assert (await stage.run("echo again")).seq == 1


@each
async def test_exec_of_a_program_that_ends(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("exec sh -c 'echo replaced; exit 5'")
    assert (run.exit, run.stdout, run.stderr) == (None, "replaced\n", "pty closed")
    await stage.state("closed")


@posix
async def test_background_jobs_go_on_and_are_gone_with_the_terminal(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("sleep 600 & echo $!")
    pid = int(run.stdout.split()[-1])
    assert runs(pid)
    assert await stage.said("echo meanwhile") == (0, "meanwhile\n")
    length = 600 + os.getpid() / 10**8  # nobody else on this machine sleeps so long
    run = await stage.run(f"nohup setsid sleep {length} >/dev/null 2>&1 & echo $!")
    assert run.exit == 0
    await stage.call("close", name="build")
    await until(lambda: not runs(pid))
    assert not those(lambda process: process.cmdline() == ["sleep", str(length)])


@hooked
async def test_what_a_background_job_says_after_the_end_is_not_the_next_commands_end(stage: Stage, shell: str):
    await stage.spawn(shell)
    first = await stage.run("(sleep 0.3; printf '\\e]133;D;0\\a'; echo late) & echo now")
    assert first.exit == 0
    run = await stage.run("sleep 0.7; false")
    assert run.exit == 1
    assert "late" in run.stdout


@each
async def test_ten_megabytes(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("sh -c 'yes 0123456789012345678901234567890123456789 | head -c 10000000'; echo END")
    assert run.exit == 0
    assert len(run.stdout) < 70_000
    assert run.stdout.startswith("0123456789")
    assert run.stdout.rstrip().endswith("END")
    assert "bytes left out" in run.stdout


@each
async def test_binary_garbage(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("head -c 300000 /dev/urandom; echo; echo END")
    assert run.exit == 0
    run.stdout.encode()
    assert await stage.said("echo clean") == (0, "clean\n")


@each
async def test_a_program_that_prints_marks(stage: Stage, shell: str):
    await stage.spawn(shell)
    marks = "".join(f"\x1b]133;{kind};aegis={'0123456789abcdef' * 2}\a\x1b]133;{kind}\x1b\\" for kind in KINDS)
    (stage.kernel.project.root / "marks").write_text(marks)
    run = await stage.run("sh -c 'cat marks; printf said; exit 9'")
    assert (run.exit, run.stdout) == (9, "said")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
@each
async def test_a_program_that_looks_for_the_key_finds_none(stage: Stage, shell: str):
    await stage.spawn(shell)
    search = (
        "import os, re, subprocess\n"
        "pid, found = os.getppid(), []\n"
        "for name in ('environ', 'cmdline'):\n"
        "    found += re.findall(rb'[0-9a-f]{32}', open(f'/proc/{pid}/{name}', 'rb').read())\n"
        "found += [v.encode() for v in os.environ.values() if re.search('^[0-9a-f]{32}$', v)]\n"
        "for key in found:\n"
        "    print(f'\\x1b]133;D;0;aegis={key.decode()}\\x07', end='')\n"
        "print(len(found))\n"
        "raise SystemExit(8)\n"
    )
    (stage.kernel.project.root / "search.py").write_text(search)
    if shell != "fish":
        await stage.run("set -a")
    assert await stage.said("python3 search.py") == (8, "0\n")


@posix
async def test_set_e_set_x_and_set_u(stage: Stage, shell: str):
    await stage.spawn(shell)
    run = await stage.run("set -x; echo traced")
    assert "traced\n" in run.stdout and "__aegis" not in run.stdout
    run = await stage.run("echo more; false")
    assert run.exit == 1
    assert "more\n" in run.stdout and "__aegis" not in run.stdout
    await stage.run("set +x")
    assert await stage.said("set -u; echo fine") == (0, "fine\n")
    assert await stage.said("set -e; echo fine") == (0, "fine\n")
    assert await stage.said("true; echo fine") == (0, "fine\n")
    run = await stage.run("false; echo never")
    assert (run.exit, run.stdout, run.stderr) == (None, "", "pty closed")
