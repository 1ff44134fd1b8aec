"""Secrets by name: found or refused, and known to the redactor from then on."""

import pytest
import trio

import aegis_environment.plugin
from aegis import AegisError, Refused, Registry, hookimpl, open_kernel
from aegis.redactor import Redactor
from aegis.testing.echo import EchoPlugin
from aegis_environment.secrets import Secrets


class Vault:
    """A source with one secret, offered by a plugin of its own."""

    name = "vault"

    async def find(self, name):
        await trio.lowlevel.checkpoint()
        return {"DEEP": "from-the-vault"}.get(name)

    def names(self):
        return ["DEEP"]

    @hookimpl(optionalhook=True)
    def aegis_secret_sources(self):
        return [self]


async def test_aegis_own_variables_are_asked_first_and_then_each_source():
    sources, redactor = Registry("secret source"), Redactor()
    sources.add("vault", Vault())
    secrets = Secrets({"KEY": "from-the-environment"}, redactor, sources)
    wanted = {"A": "${secret:KEY}", "B": "Bearer ${secret:DEEP}", "C": "plain $HOME ${HOME}"}
    assert await secrets.filled(wanted) == {
        "A": "from-the-environment", "B": "Bearer from-the-vault", "C": "plain $HOME ${HOME}"
    }  # fmt: skip
    assert redactor.text("from-the-vault") == "<secret:DEEP>"
    with pytest.raises(Refused, match=r"A needs the secret 'DEEPS', .*aegis itself, vault.*Did you mean 'DEEP'"):
        await secrets.filled({"A": "${secret:DEEPS}"})


@pytest.mark.parametrize("name", ["", "no such", "SHORT"])
async def test_what_cannot_be_given_or_kept_is_refused(name):
    secrets = Secrets({"SHORT": "12345"}, Redactor(), Registry("secret source"))
    with pytest.raises(Refused, match="X needs the secret"):
        await secrets.filled({"X": f"${{secret:{name}}}"})


async def fails(kernel, profile):
    """Start an agent of the profile and return why it could not be started."""
    with pytest.raises(AegisError, match="needs") as raised:
        await kernel.roster.spawn(profile, profile)
    return str(raised.value)


async def test_a_source_comes_and_goes_with_its_plugin(project):
    (project / ".aegis.yaml").write_text("agents: {ann: {provider: echo, env: {KEY: '${secret:DEEP}'}}}\n")
    plugins = {"echo": EchoPlugin(), "environment": aegis_environment.plugin}
    async with open_kernel(project, plugins=plugins, environment={}) as kernel:
        assert "KEY needs the secret 'DEEP'" in await fails(kernel, "ann")
        await kernel.plugins.enter("vaults", Vault())
        await kernel.roster.spawn("ann", "bob")
        assert kernel.redactor.text("from-the-vault") == "<secret:DEEP>"
        await kernel.plugins.leave("vaults")
        assert "KEY needs the secret 'DEEP'" in await fails(kernel, "ann")


async def test_without_the_plugin_a_profile_that_needs_a_secret_is_refused(project):
    (project / ".aegis.yaml").write_text("agents: {ann: {provider: echo, env: {KEY: '${secret:DEEP}'}}}\n")
    async with open_kernel(project, plugins={"echo": EchoPlugin()}, environment={"DEEP": "sesame-4711"}) as kernel:
        said = await fails(kernel, "ann")
    assert "KEY needs a secret, and no plugin here looks it up (aegis-environment would)" in said
