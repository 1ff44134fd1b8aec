"""Who may come in, and in whose name."""

import os
import stat
from hashlib import sha256

import pytest

from aegis import open_kernel
from aegis_mcp.port import Port
from aegis_mcp.secret_store import Secrets


async def refused(scene) -> dict[str, int]:
    return (await scene.status()).refused


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"authorization": ""}, 401, "secret"),
        ({"authorization": "Bearer wrong"}, 401, "secret"),
        ({"authorization": "Basic YWxpY2U6eA=="}, 401, "secret"),
        ({"authorization": "Bearer a.b.c\xff"}, 401, "secret"),
        ({"host": "evil.example"}, 421, "host"),
        ({"host": "127.0.0.1.evil.example:80"}, 421, "host"),
        ({"origin": "https://evil.example"}, 403, "origin"),
        ({"origin": "null"}, 403, "origin"),
        ({"origin": ""}, 403, "origin"),
        ({"origin": "http://[half"}, 403, "origin"),
    ],
)
async def test_strangers_are_refused_and_counted(scene, raw, headers, status, why):
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    scene.toys.go.set()
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await alice.post("tools/call", {"name": "aegis_slow", "arguments": {}}, number=2, **sent)
    assert answer.status_code == status
    assert "alice" not in answer.text
    assert await refused(scene) == {why: 1}
    assert scene.toys.ended == []  # nothing was delivered


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1:8080"}, {"host": "localhost:1"}, {"host": "[::1]"}])
async def test_this_machine_is_no_stranger(scene, raw, headers):
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    answer = await alice.post("tools/call", {"name": "aegis_whoami", "arguments": {}}, number=2, **headers)
    assert answer.status_code == 200 and "agent:alice" in answer.text


async def test_a_wrong_secret_in_the_path_is_refused(scene, raw):
    await scene.spawn("alice")
    alice = raw("alice")
    answer = await alice.post("initialize", url=scene.url("alice") + "/wrong")
    assert answer.status_code == 401  # though the header is right: the path is what was meant
    assert await refused(scene) == {"secret": 1}


async def test_other_paths_lead_nowhere(scene, raw):
    await scene.spawn("alice")
    alice = raw("alice")
    secret, base = scene.secret("alice"), scene.url("alice").removesuffix("/mcp")
    for path in ("/", f"/.well-known/oauth-authorization-server/mcp/{secret}", "/mcpx", "/docs"):
        assert (await alice.post("initialize", url=base + path)).status_code == 404


async def test_the_secret_of_a_closed_agent_opens_nothing(scene, raw):
    agent = await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    old = alice.headers()["authorization"]
    await scene.kernel.roster.close(agent)
    assert (await alice.call("aegis_whoami")).status_code == 401
    await scene.spawn("alice")  # the name is free again, the secret is not
    again = await alice.post("initialize", authorization=old)
    assert again.status_code == 401
    assert await refused(scene) == {"closed agent": 2}


async def test_a_session_belongs_to_the_agent_that_opened_it(scene, raw):
    await scene.spawn("alice")
    await scene.spawn("bob")
    alice, bob = raw("alice"), raw("bob")
    await alice.hello()
    bob.session = alice.session
    stolen = await bob.call("aegis_whoami")
    assert stolen.status_code == 404 and "agent:" not in stolen.text


async def test_people_see_who_came(scene, raw):
    await scene.spawn("alice")
    await scene.spawn("bob")
    await raw("alice").hello()
    status = await scene.status()
    assert (status.connected, status.missing, status.refused) == (["alice"], ["bob"], {})
    assert status.url == scene.url("alice")
    assert str(status).splitlines()[1:3] == ["connected  alice", "missing    bob"]


async def test_only_the_hash_of_a_secret_is_on_disk_and_it_counts_after_a_restart(tmp_path):
    project = tmp_path
    (project / ".aegis.yaml").write_text("{}\n")
    async with open_kernel(project, plugins={}, environment={}) as kernel:
        secrets = Secrets(kernel.ledger)
        first, other = await secrets.mint("01A"), await secrets.mint("01B")
        assert first != other and len(first.partition(".")[2]) >= 43
        await kernel.ledger.append()  # what rides is stored, too
        state = b"".join(file.read_bytes() for file in kernel.project.state.rglob("*") if file.is_file())
        assert first.partition(".")[2].encode() not in state
        assert sha256(first.encode()).hexdigest().encode() in state
    async with open_kernel(project, plugins={}, environment={}) as kernel:
        secrets = Secrets(kernel.ledger)
        assert (secrets.owner(first), secrets.owner(other)) == ("01A", "01B")
        for wrong in ("", ".", "01A", "01A.", first[:-1], first + "x", "01B." + first.partition(".")[2], "01A.é\udce9"):
            assert secrets.owner(wrong) is None
        second = await secrets.mint("01A")
        assert secrets.owner(first) is None, "a CLI that is opened again has a new one"
        assert secrets.owner(second) == "01A"
        await secrets.close("01A")
        assert secrets.owner(second) == "01A", "so that it can be told that it is closed"
    async with open_kernel(project, plugins={}, environment={}) as kernel:
        assert Secrets(kernel.ledger).owner(second) == "01A"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1}', b'{"port": "x"}', b'{"port": 65536}'])
def test_a_damaged_file_of_the_port_says_nothing(tmp_path, damage):
    path = tmp_path / "plane.json"
    path.write_bytes(damage)
    os.chmod(path, 0o600)
    assert Port(path).number == 0
    Port(path).keep(4711)
    assert Port(path).number == 4711
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
