"""A CLI gets what programs and its own provider need of the variables of aegis, and no other provider's key."""

import stat
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import aegis_environment.plugin
from aegis import Caller, ConfigError, DriverInfo, Probe, Profile, hookimpl, open_kernel
from aegis_environment.inheritance import USUAL, inherited
from aegis_environment.settings import EnvironmentSettings
from aegis_processes.environment import BARE

OURS = {
    "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "XDG_RUNTIME_DIR": "/run", "SSH_AUTH_SOCK": "/s", "https_proxy": "p",
    "NODE_OPTIONS": "x", "NVM_DIR": "n", "JAVA_HOME": "j", "GIT_AUTHOR_NAME": "a",
}  # fmt: skip
NOT = {
    "ANTHROPIC_API_KEY": "k1", "GEMINI_API_KEY": "k2", "AWS_SECRET_ACCESS_KEY": "k3", "NODE_AUTH_TOKEN": "k4",
    "UV_PUBLISH_TOKEN": "k5", "PATHS": "x", "MY_HOME": "x", "path": "x", "GIT_DIR": "x",
    "CARGO_REGISTRY_TOKEN": "k6", "LCX": "x",
}  # fmt: skip


def passed(own=(), **terms):
    return set(inherited(OURS | NOT, EnvironmentSettings(**terms), own))


def test_the_usual_variables_and_no_neighbours_of_theirs():
    assert passed() == set(OURS)
    assert len(USUAL) == len(set(USUAL))


def test_what_a_provider_says_is_its_own_is_added():
    assert passed(["ANTHROPIC_*"]) == {*OURS, "ANTHROPIC_API_KEY"}


@pytest.mark.parametrize(
    ("terms", "more", "less"),
    [
        ({"inherit": ["AWS_*", "MY_HOME"]}, {"AWS_SECRET_ACCESS_KEY", "MY_HOME"}, set()),
        ({"inherit": ["NODE_AUTH_TOKEN"]}, {"NODE_AUTH_TOKEN"}, set()),
        ({"inherit": ["*"]}, set(NOT), set()),
        ({"inherit": ["*"], "drop": ["*_KEY", "*TOKEN"]}, {"PATHS", "MY_HOME", "path", "GIT_DIR", "LCX"}, set()),
        ({"drop": ["SSH_*"]}, set(), {"SSH_AUTH_SOCK"}),
    ],
)
def test_the_section_adds_and_drops(terms, more, less):
    assert passed(**terms) == {*OURS, *more} - less


class Driver:
    """A provider with variables of its own; it says which its sessions got."""

    name, settings, resumes = "keyed", Profile, False
    info = DriverInfo(environment=("KEYED_*",))

    def __init__(self):
        self.got = {}

    @asynccontextmanager
    async def open(self, seat):
        self.got = seat.env
        yield self

    async def receive(self):
        await trio.sleep_forever()

    def probe(self):
        return Probe(True)

    @hookimpl
    def aegis_drivers(self):
        return [self]


async def test_an_agent_gets_what_its_provider_and_its_profile_need(project, monkeypatch):
    for name in ("KEYED_KEY", "OTHER_KEY", "WANTED"):
        monkeypatch.setenv(name, "1")
    (project / ".aegis.yaml").write_text(
        "environment: {inherit: [WANTED]}\nagents: {ann: {provider: keyed, env: {OWN: mine}}}\n"
    )
    driver = Driver()
    async with open_kernel(project, plugins={"keyed": driver, "environment": aegis_environment.plugin}) as kernel:
        await kernel.roster.spawn("ann", "ann")
    assert {n: v for n, v in driver.got.items() if "KEY" in n or n in ("WANTED", "OWN")} == {
        "KEYED_KEY": "1",
        "WANTED": "1",
        "OWN": "mine",
    }
    assert driver.got["AEGIS_HANDLE"] == "ann" and driver.got["PATH"]


async def test_what_is_dropped_is_dropped_from_the_handful_too_but_not_from_a_profile(project, monkeypatch):
    monkeypatch.setenv("LANG", "C")
    (project / ".aegis.yaml").write_text(
        "environment: {drop: [LANG, TZ, AEGIS_*]}\nagents: {ann: {provider: keyed, env: {TZ: UTC}}}\n"
    )
    driver = Driver()
    plugins = {"keyed": driver, "environment": aegis_environment.plugin}
    async with open_kernel(project, plugins=plugins) as kernel:
        await kernel.roster.spawn("ann", "ann")
    assert "LANG" not in driver.got and (driver.got["TZ"], driver.got["AEGIS_HANDLE"]) == ("UTC", "ann")


async def test_without_the_plugin_a_cli_gets_a_bare_handful(project, monkeypatch):
    for name in ("KEYED_KEY", "SSH_AUTH_SOCK", "LANG"):
        monkeypatch.setenv(name, "1")
    driver = Driver()
    async with open_kernel(project, plugins={"keyed": driver}) as kernel:
        await kernel.roster.spawn("keyed", "ann")
    assert driver.got["PATH"] and driver.got["LANG"] == "1"
    assert driver.got.keys() <= {*BARE, "AEGIS_AGENT", "AEGIS_HANDLE"}


async def test_the_verb_names_what_is_passed_on(project, monkeypatch):
    for name in ("KEYED_KEY", "OTHER_KEY"):
        monkeypatch.setenv(name, "hidden-value")
    plugins = {"keyed": Driver(), "environment": aegis_environment.plugin}
    async with open_kernel(project, plugins=plugins) as kernel:
        said = await kernel.verbs.call(Caller("human", "anna"), "environment list")
    assert "PATH" in said.every and said.only == {"keyed": ["KEYED_KEY"]} and "OTHER_KEY" in said.none
    assert "only to keyed: KEYED_KEY; to no CLI: " in str(said) and "hidden-value" not in repr(said)


async def test_each_session_has_a_folder_of_its_own_for_temporary_files(project, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp")
    given = {"TMPDIR": str(project)}
    (project / ".aegis.yaml").write_text(
        f"agents: {{ann: {{provider: keyed}}, eve: {{provider: keyed, env: {given}}}}}"
    )
    driver = Driver()
    async with open_kernel(project, plugins={"keyed": driver, "environment": aegis_environment.plugin}) as kernel:
        ann = await kernel.roster.spawn("ann", "ann")
        first = Path(driver.got["TMPDIR"])
        await kernel.roster.spawn("ann", "bob")
        second = Path(driver.got["TMPDIR"])
        await kernel.roster.spawn("eve", "eve")
        assert driver.got["TMPDIR"] == str(project), "what a profile says is meant"
        assert first != second and stat.S_IMODE(first.stat().st_mode) == 0o700
        assert len(str(first / ("s" * 30))) < 100, "a socket finds room there"
        (first / "left").mkdir()
        (first / "left" / "over.so").write_bytes(b"x")
        await kernel.roster.close(ann)
        assert not first.exists() and second.exists()
    assert not second.parent.exists()


async def test_variables_given_to_the_kernel_are_exactly_what_clis_get(project):
    driver = Driver()
    async with open_kernel(
        project, plugins={"keyed": driver, "environment": aegis_environment.plugin}, environment={"OTHER_KEY": "1"}
    ) as kernel:
        await kernel.roster.spawn("keyed", "ann")
    assert driver.got.keys() == {"OTHER_KEY", "AEGIS_AGENT", "AEGIS_HANDLE"}


async def test_a_mistake_in_the_section_is_said(project):
    (project / ".aegis.yaml").write_text("environment: {inherits: [X]}\n")
    with pytest.raises(ConfigError, match=r"environment\.inherits.*inherit"):
        async with open_kernel(project, plugins={"environment": aegis_environment.plugin}):
            pass
