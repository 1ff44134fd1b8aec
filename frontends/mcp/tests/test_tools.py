"""What an agent sees and gets."""


async def test_two_agents_at_once_are_who_they_are(scene, mode):
    await scene.spawn("alice")
    await scene.spawn("bob")
    async with scene.client("alice", mode) as alice, scene.client("bob", mode) as bob:
        assert scene.text(await alice.call_tool("aegis_whoami")) == "agent:alice"
        assert scene.text(await bob.call_tool("aegis_whoami")) == "agent:bob"
        assert scene.text(await alice.call_tool("aegis_whoami")) == "agent:alice"
