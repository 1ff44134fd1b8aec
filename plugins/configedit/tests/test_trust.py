"""What waits to be trusted, seen and answered where the person is."""

import pytest

import aegis_configedit.plugin
from aegis import Caller, ConfigError, Refused, open_kernel
from aegis.events import ConfigChanged
from aegis.project import FILE
from aegis.testing.echo import EchoPlugin
from aegis_trust.trust import FOLDERS, Trust

ANNA = Caller("human", "anna")
PLUGINS = {"configedit": aegis_configedit.plugin, "echo": EchoPlugin()}


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A person of these tests, who trusts what is in the project now."""
    monkeypatch.delenv(FOLDERS)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
async def kernel(project):
    (project / FILE).write_text("agents: {ann: {provider: echo, prompt: words.md}}\n")
    (project / "words.md").write_text("be kind\n")
    trust = Trust(project, FILE)
    trust.accept(trust.look(), "anna")
    async with open_kernel(project, plugins=PLUGINS, environment={}) as kernel:
        yield kernel


async def test_a_person_sees_what_waits_and_says_yes_to_exactly_that(kernel, project):
    assert await kernel.verbs.call(ANNA, "config trust") == "everything is in force as you trust it"
    (project / FILE).write_text("agents: {bob: {provider: echo}}\n")
    said = await kernel.verbs.call(ANNA, "config trust")
    assert "+agents: {bob" in said and "bob" not in kernel.config.profiles
    mark = said.split("`config trust ")[1].split("`")[0]
    (project / FILE).write_text("agents: {bob: {provider: echo, permission: full}}\n")
    with pytest.raises(Refused, match="is no longer what"):
        await kernel.verbs.call(ANNA, "config trust", {"mark": mark})
    mark = (await kernel.verbs.call(ANNA, "config trust")).split("`config trust ")[1].split("`")[0]
    assert "is in force" in await kernel.verbs.call(ANNA, "config trust", {"mark": mark})
    assert kernel.config.profile("bob")[0].permission == "full" and kernel.trust.reason() == ""


async def test_an_agent_cannot_say_yes(kernel):
    with pytest.raises(Refused):
        await kernel.verbs.call(Caller("agent", "lucid-knuth"), "config trust")


@pytest.mark.parametrize("where", ["words.md", FILE])
async def test_a_change_of_what_is_named_is_told_without_asking(kernel, project, where):
    with kernel.bus.subscribe(only=(ConfigChanged,)) as news:
        (project / where).write_text("agents: {}\n")
        async for [batch] in news:
            assert f"{where} has changed since it was trusted" in batch.events[0].error
            break


async def test_a_yes_in_another_process_is_noticed(kernel, project):
    with kernel.bus.subscribe(only=(ConfigChanged,)) as news:
        (project / FILE).write_text("agents: {bob: {provider: echo}}\n")
        trust = Trust(project, FILE)
        trust.accept(trust.look(), "anna")
        async for batches in news:
            if "bob" in kernel.config.profiles:
                assert batches
                break
    trust.revoke()
    with kernel.bus.subscribe(only=(ConfigChanged,)) as news:
        while "is not trusted" not in kernel.config.error:
            await news.__anext__()


async def test_an_overlay_that_a_person_writes_is_trusted_and_an_agents_waits(kernel, project):
    def quiet(entry):
        entry.update(provider="echo", quiet=False)

    kernel.config.edit_overlay("agents", "bob", quiet, "human:anna")
    assert kernel.config.profile("bob")[0].quiet is False and kernel.trust.reason() == ""
    kernel.config.edit_overlay("agents", "eve", quiet, "agent:lucid-knuth")
    assert "eve" not in kernel.config.profiles and "eve.yaml is new" in kernel.trust.reason()
    with pytest.raises(ConfigError, match=r"eve\.yaml is new"):  # first say what becomes of that
        kernel.config.edit_overlay("agents", "ann2", quiet, "human:anna")
