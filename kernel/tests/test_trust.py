"""A kernel believes what a person trusts of the project, and nothing else; what changes meanwhile waits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aegis import AegisError, ConfigError, Refused, open_kernel
from aegis.events import ConfigChanged
from aegis.project import FILE, Untrusted
from aegis.testing.echo import EchoPlugin
from aegis_trust.trust import FOLDERS, Trust


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A person of these tests, who trusts nothing yet."""
    monkeypatch.delenv(FOLDERS)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


def says(project: Path, text: str) -> None:
    (project / FILE).write_text(text)


def accept(project: Path) -> None:
    """Trust what is there, as `aegis trust --yes` does."""
    trust = Trust(project, FILE, Untrusted)
    trust.accept(trust.look(), "anna")


def opened(project, **more):
    return open_kernel(project, plugins={"echo": EchoPlugin()}, environment={}, **more)


AGENT = "agents: {ann: {provider: echo, prompt: words.md}}\n"


async def test_a_project_that_nobody_trusts_is_not_opened_and_not_touched(project):
    says(project, AGENT)
    with pytest.raises(Untrusted, match="nothing of it is run; `aegis trust") as refusal:
        async with opened(project):
            pytest.fail("it was")
    assert refusal.value.exit_code == 3
    assert [f.name for f in project.iterdir()] == [FILE]


async def test_a_folder_without_configuration_needs_no_trust(project):
    async with opened(project) as kernel:
        assert kernel.trust.reason() == ""
    async with opened(project) as kernel:
        assert kernel.config.remarks == []


async def test_who_opens_it_can_answer_for_it(project):
    says(project, AGENT)
    async with opened(project, trusted=True) as kernel:
        assert kernel.trust.vouched and list(kernel.config.profiles) == ["ann"]


async def test_what_changes_while_it_runs_waits_for_a_person(project):
    says(project, "agents: {ann: {provider: echo}}\n")
    accept(project)
    async with opened(project) as kernel:
        with kernel.bus.subscribe(only=(ConfigChanged,)) as news:
            says(project, "agents: {ann: {provider: echo, permission: full}}\n")
            with pytest.raises(ConfigError, match=r"\.aegis\.yaml has changed since it was trusted; `aegis trust"):
                await kernel.config.refresh("a change of the file")
            assert kernel.config.profile("ann")[0].permission == "auto", "the last trusted one is in force"
            assert "has changed" in kernel.snapshot()["config"]["error"]
            accept(project)
            await kernel.config.refresh("human:anna")
            assert (kernel.config.profile("ann")[0].permission, kernel.config.error) == ("full", "")
            assert [bool(event.error) for batch in news.take() for event in batch.events] == [True, False]


async def test_an_overlay_that_appears_waits_too(project):
    async with opened(project) as kernel:
        (project / ".aegis" / "agents").mkdir()
        (project / ".aegis" / "agents" / "bob.yaml").write_text("provider: echo\npermission: full\n")
        with pytest.raises(ConfigError, match=r"agents/bob\.yaml was never trusted|not trusted"):
            await kernel.config.refresh()
        kernel.config.check_again()
        assert "bob" not in kernel.config.profiles


async def test_a_persons_edit_stays_trusted_and_an_agents_edit_waits(project):
    async with opened(project) as kernel:
        kernel.config.edit(lambda file: file.update(agents={"ann": {"provider": "echo"}}), "human:anna")
        assert kernel.trust.reason() == "" and "ann" in kernel.config.profiles
        kernel.config.edit(lambda file: file["agents"].update(bob={"provider": "echo"}), "agent:lucid-knuth")
        assert "bob" not in kernel.config.profiles and "has changed" in kernel.config.error
        with pytest.raises(ConfigError, match="has changed"):
            kernel.config.edit(lambda file: file["agents"].update(eve={"provider": "echo"}), "human:anna")
        assert "eve" not in (project / FILE).read_text(), "the person has not seen what the agent wrote"
    with pytest.raises(Untrusted, match="has changed"):
        async with opened(project):
            pytest.fail("it was")


async def test_no_agent_is_started_with_a_file_that_has_changed(project):
    (project / "words.md").write_text("be kind")
    says(project, AGENT)
    accept(project)
    async with opened(project) as kernel:
        seat = SimpleNamespace(profile=kernel.config.profile("ann")[0])
        await kernel.interceptors.launch(seat, None)
        (project / "words.md").write_text("be cruel")
        with pytest.raises(Refused, match=r"words\.md has changed"):
            await kernel.interceptors.launch(seat, None)
        await kernel.interceptors.launch(SimpleNamespace(profile=kernel.config.profile("echo")[0]), None)
        with pytest.raises(Untrusted):
            kernel.trust.read(project / "words.md")


async def test_trust_that_is_taken_back_ends_what_may_be_started(project):
    says(project, AGENT)
    accept(project)
    async with opened(project) as kernel:
        Trust(project, FILE).revoke()
        with pytest.raises(Untrusted, match="nothing of it is run"):
            kernel.trust.require({"command": ["x"]})
        with pytest.raises(ConfigError):
            await kernel.config.refresh()


async def test_a_state_that_came_with_the_project_is_not_believed(project, tmp_path):
    """A ledger with an agent that would be started again, committed into a repository."""
    async with open_kernel(project, plugins={"echo": EchoPlugin()}, environment={}) as kernel:
        await kernel.roster.spawn("echo", "sleeper")
    clone = tmp_path / "clone"
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns("*.sock"))
    async with opened(clone) as kernel:
        assert not kernel.roster.live() and "is set aside as state.set-aside-" in kernel.config.remarks[0]
    async with opened(clone) as kernel:
        assert kernel.config.remarks == [], "it is said once"
    async with opened(project) as kernel:
        assert list(kernel.roster.live()) == ["sleeper"], "the first one is where it was"


async def test_a_project_that_was_moved_goes_on(project, tmp_path):
    says(project, AGENT)
    accept(project)
    async with opened(project) as kernel:
        await kernel.roster.spawn("ann", "sleeper")
    project.rename(tmp_path / "elsewhere")
    async with opened(tmp_path / "elsewhere") as kernel:
        assert list(kernel.roster.live()) == ["sleeper"]


HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1] + "/kernel.lock", os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
while os.stat(sys.argv[1]).st_mode & 0o077 and os.getppid() == int(sys.argv[2]):
    pass
os.close(fd)
"""


async def test_a_foreign_state_is_not_believed_though_its_lock_was_held_at_first(project):
    """Whoever may read a lock file may hold it: held, the state is not set aside; let go, it would be taken over."""
    state = project / ".aegis" / "state"
    state.mkdir(parents=True)
    (state / "kernel.lock").touch()
    for each in (project / ".aegis", state, state / "kernel.lock"):
        each.chmod(0o755)
    line = [sys.executable, "-I", "-S", "-c", HOLDER, str(state), str(os.getpid())]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220 - nothing else runs yet
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with pytest.raises(AegisError, match=r"already runs|was not made here by you; start once more"):
            async with opened(project):
                pass
        holder.kill()
    async with opened(project) as kernel:
        assert "is set aside as state.set-aside-" in kernel.config.remarks[0]
