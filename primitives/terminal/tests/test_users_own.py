"""What is the user's stays the user's: rc files, prompt, hooks, history, options."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal_stage import Stage, installed, needs, until

from aegis_terminal.socket_path import socket_folder

hooked = pytest.mark.parametrize("shell", installed("bash", "zsh"))


@pytest.fixture
def home(environment) -> Path:
    return Path(environment["HOME"])


@needs["bash"]
async def test_bash_keeps_rc_prompt_and_prompt_command(stage: Stage, home: Path):
    (home / ".bashrc").write_text(
        "PS1='mine> '\nalias hi='echo hi there'\n"
        "seen() { echo \"status $?\" >> ~/seen; }\nPROMPT_COMMAND='seen; true'\nHISTIGNORE=secret\n"
    )
    await stage.spawn("bash")
    assert await stage.said("hi") == (0, "hi there\n")
    assert await stage.said("(exit 4)") == (4, "")
    await stage.shows("mine>")
    await stage.run("true")
    assert (home / "seen").read_text().splitlines()[-2:] == ["status 4", "status 0"]
    assert (await stage.said('echo "$PS1"'))[1] == "mine> \n"
    assert "seen; true" in (await stage.said('echo "$PROMPT_COMMAND"'))[1]
    assert (await stage.said("bash -c 'echo \"<$PROMPT_COMMAND>\"'"))[1] == "<>\n", "a shell in it has none of ours"


@needs["bash"]
async def test_bash_keeps_a_prompt_command_that_is_a_list(stage: Stage, home: Path):
    (home / ".bashrc").write_text("PROMPT_COMMAND=('echo one >> ~/seen' 'echo two >> ~/seen')\n")
    await stage.spawn("bash")
    await stage.run("true")
    await stage.run("true")
    assert (home / "seen").read_text().startswith("one\ntwo\n")


@needs["bash"]
async def test_one_who_takes_our_hook_away_gets_it_back(stage: Stage):
    await stage.spawn("bash")
    await stage.run("PROMPT_COMMAND='echo mine >> ~/seen'")
    assert await stage.said("(exit 3)") == (3, "")
    assert await stage.said("if") != (0, "")
    assert await stage.said("echo on") == (0, "on\n")


@needs["zsh"]
async def test_zsh_keeps_rc_prompt_and_precmd(stage: Stage, home: Path):
    (home / ".zshenv").write_text("export FROM_ENV=yes\n")
    (home / ".zshrc").write_text(
        "PROMPT='mine> '\nalias hi='echo hi there'\nprecmd() { echo \"status $?\" >> ~/seen }\n"
        'preexec() { echo "ran" >> ~/ran }\nsetopt extended_glob\n'
    )
    await stage.spawn("zsh")
    assert await stage.said("hi; echo $FROM_ENV ${ZDOTDIR-unset}") == (0, "hi there\nyes unset\n")
    assert await stage.said("(exit 4)") == (4, "")
    await stage.shows("mine>")
    await stage.run("true")
    await until(lambda: (home / "seen").read_text().splitlines()[-2:] == ["status 4", "status 0"])  # with the prompt
    assert (home / "ran").exists()
    assert "extendedglob" in (await stage.said("setopt"))[1]


@needs["zsh"]
async def test_zsh_keeps_a_folder_of_ones_own(stage: Stage, home: Path):
    (home / "dots").mkdir()
    (home / ".zshenv").write_text("ZDOTDIR=$HOME/dots\n")
    (home / "dots" / ".zshrc").write_text("MINE=yes\n")
    await stage.spawn("zsh")
    assert await stage.said("echo $MINE $ZDOTDIR") == (0, f"yes {home}/dots\n")


@hooked
async def test_history_has_what_a_person_typed_and_nothing_else(stage: Stage, home: Path, shell: str):
    rc = "HISTFILE=~/history\nHISTSIZE=100\nSAVEHIST=100\nsetopt inc_append_history 2>/dev/null\n"
    (home / f".{shell}rc").write_text(rc)
    (home / "history").write_text("old one\n")
    await stage.spawn(shell)
    await stage.run("echo from an agent")
    await stage.call("keys", name="build", keys="echo typed by hand\r")
    await stage.shows("typed by hand")
    await stage.run("echo another")
    await stage.call("keys", name="build", keys="exit\r")
    await stage.state("closed")
    await until(lambda: "typed by hand" in (home / "history").read_text())
    kept = (home / "history").read_text()
    assert kept.startswith("old one\n")
    assert "agent" not in kept and "another" not in kept and "__aegis" not in kept


@pytest.mark.parametrize("shell", installed("dash"))
async def test_a_posix_shell_keeps_its_env_file(stage: Stage, home: Path, shell: str):
    (home / "shinit").write_text("MINE=yes\nPS1='mine> '\n")
    await stage.spawn(shell, env={"ENV": str(home / "shinit")})
    assert await stage.said("echo $MINE") == (0, "yes\n")
    await stage.shows("mine>")


@pytest.mark.parametrize("shell", installed("fish"))
async def test_fish_keeps_its_configuration(stage: Stage, home: Path, shell: str):
    (home / ".config/fish").mkdir(parents=True)
    (home / ".config/fish/config.fish").write_text("set -g MINE yes\nfunction fish_prompt; echo 'mine> '; end\n")
    await stage.spawn(shell)
    assert await stage.said("echo $MINE") == (0, "yes\n")
    await stage.shows("mine>")


@hooked
async def test_nothing_is_left_in_the_home_or_outside(stage: Stage, home: Path, shell: str):
    (home / f".{shell}rc").write_text("")
    before = sorted(p.name for p in home.rglob("*"))
    await stage.spawn(shell)
    await stage.run("true")
    assert await stage.said("echo $AEGIS_TERM $TERM") == (0, "1 xterm-256color\n")
    await stage.call("close", name="build")
    assert sorted(p.name for p in home.rglob("*")) == before
    assert not list(socket_folder(stage.kernel.project).glob("*/*"))


@needs["bash"]
async def test_an_rc_that_waits_for_an_answer_is_shown_and_answered(stage: Stage, home: Path):
    (home / ".bashrc").write_text("read -p 'which toolchain? ' answer\n")
    row = await stage.spawn("bash")
    assert row.state == "starting"
    await stage.shows("which toolchain?")
    await stage.call("keys", name="build", keys="stable\r")
    assert await stage.said("echo $answer") == (0, "stable\n")


@needs["bash"]
async def test_an_rc_that_ends_the_shell_is_said(stage: Stage, home: Path):
    (home / ".bashrc").write_text("exit 9\n")
    row = await stage.spawn("bash")
    assert row.state == "closed"
