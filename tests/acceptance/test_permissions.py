"""Permissions from the shell, with CLIs of two protocols: what modes, rules and people answer, all of it kept."""

import json
import sys
from pathlib import Path

import pytest

SCRIPT = [
    {"when": "edit (?P<path>\\S+)", "do": [{"edit": "{path}", "text": "new"}, {"say": "{reply}"}]},
    {"when": "run (?P<command>.+)", "do": [{"shell": "{command}"}, {"say": "{reply}"}]},
    {"do": [{"say": "turn {turn}"}]},
]
PROVIDERS = {"aegis_acp": ("acp", {"asks": True}), "aegis_claude": ("claude-code", {})}


@pytest.fixture(params=sorted(PROVIDERS))
def lodged(request, aegis, tmp_path):
    """A project in which `wren`, of `write`, and `rex`, of `read`, live; and `ada`, who asks."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    provider, keys = PROVIDERS[request.param]
    command = [sys.executable, "-m", f"{request.param}.testing", "--script", str(script)]
    profile = {"provider": provider, "command": command} | keys
    agents = {name: profile | {"permission": name} for name in ("read", "write", "auto")}
    deny = {"agent": "write", "kind": "edit", "match": "./migrations/**", "answer": "deny"}
    (aegis.root / "migrations").mkdir()
    (aegis.root / ".aegis.yaml").write_text(
        json.dumps({"agents": agents, "plugins": {"approvals": {"timeout": 600, "rules": [deny]}}})
    )
    with aegis.serving():
        for profile, handle in (("write", "wren"), ("read", "rex"), ("auto", "ada")):
            aegis.run("spawn", profile, "--handle", handle)
        yield aegis


def history(aegis):
    return {row["id"]: row for row in aegis.json("approvals", "list", "--all")}


def asked(aegis):
    """Return the one request that is open, once there is one."""
    aegis.eventually(lambda: aegis.json("approvals", "list"), "a request")
    [row] = aegis.json("approvals", "list")
    return row


def test_what_modes_and_rules_answer_is_kept_and_nobody_is_asked(lodged):
    wrote = lodged.says("send", "wren", "edit note.txt", "--wait")
    assert "note.txt" in wrote and (lodged.root / "note.txt").read_text() == "new"
    lodged.run("send", "wren", "edit migrations/1.sql", "--wait")
    lodged.run("send", "rex", "edit other.txt", "--wait")
    assert not (lodged.root / "migrations" / "1.sql").exists() and not (lodged.root / "other.txt").exists()
    [rule] = lodged.json("approvals", "rules")
    rows = [(row["agent"], row["kind"], row["outcome"], row["rule"]) for row in history(lodged).values()]
    assert rows == [
        ("wren", "edit", "allowed", "mode write"),
        ("wren", "edit", "denied", rule["id"]),
        ("rex", "edit", "denied", "mode read"),
    ]
    kinds = {json.loads(line)["event"]["t"] for line in lodged.says("events", "--json").splitlines()}
    assert not kinds & {"PermissionAsked", "PermissionAnswered"}


def test_a_person_answers_once_always_or_never_and_takes_it_back(lodged):
    def told(said, *answer):
        with lodged.start("send", "ada", said, "--wait") as waiting:
            row = asked(lodged)
            lodged.run("approvals", answer[0], row["id"], *answer[1:])
            return row["id"], waiting.communicate(timeout=30)[0]

    number, _ = told("run touch once", "allow")
    assert (lodged.root / "once").exists()
    twice = lodged.refuses("approvals", "deny", number, "no", code=3)
    assert f"request {number} (ada: " in twice and "has already ended: allowed by human:" in twice
    assert "there is no request 'x' (open: none)" in lodged.refuses("approvals", "allow", "x", code=4)

    number, _ = told("run touch never", "deny", "not on a Friday")
    assert not (lodged.root / "never").exists()
    assert history(lodged)[number]["reason"] == "not on a Friday"

    number, _ = told("edit src.txt", "allow", "--always")
    [_, rule] = lodged.json("approvals", "rules")
    assert (rule["agent"], rule["match"], rule["answer"]) == ("ada", "./*", "allow")
    assert rule["id"] == history(lodged)[number]["rule"]
    lodged.run("send", "ada", "edit other.txt", "--wait")
    assert (lodged.root / "other.txt").exists(), "nobody was asked again"
    assert "revoked: allow ada" in lodged.says("approvals", "revoke", rule["id"])
    assert "./*" not in (lodged.root / ".aegis.yaml").read_text()
    told("edit third.txt", "deny")
    assert not (lodged.root / "third.txt").exists()


def test_what_an_agents_own_shell_asks_of_aegis_is_the_agents(lodged):
    """A real CLI's command, allowed by a person: as that agent, which answers no question and ends nothing."""
    mine = Path(sys.executable).with_name("aegis")
    words = [f"{mine} {line} >>said 2>&1" for line in ("meta", "approvals list", "approvals allow 1", "stop")]
    with lodged.start("send", "ada", f"run {'; '.join(words)}", "--wait") as waiting:
        lodged.run("approvals", "allow", asked(lodged)["id"])
        waiting.communicate(timeout=60)
    said = (lodged.root / "said").read_text()
    assert "You are agent:ada" in said
    for verb in ("approvals list", "approvals allow"):
        assert f"agent:ada may not use '{verb}'" in said
    assert "agent:ada may not end aegis: that is for people" in said
    assert {row["handle"] for row in lodged.json("sessions")} == {"ada", "rex", "wren"}
    told = lodged.says("events", "--json")
    assert "agent:ada" in told and "was refused at the control socket" in told


def test_whose_turn_ends_is_not_waited_for_and_the_house_may_stop_meanwhile(lodged):
    lodged.run("send", "ada", "run touch x")
    first = asked(lodged)["id"]
    assert lodged.says("interrupt", "ada") == "ada was interrupted"
    lodged.eventually(lambda: not lodged.json("approvals", "list"), "the end of the request")
    assert history(lodged)[first]["outcome"] == "cancelled"
    lodged.run("send", "ada", "run touch x")
    second = asked(lodged)["id"]
    lodged.run("stop")
    with lodged.serving():
        row = history(lodged)[second]
        assert row["outcome"] == "cancelled" and row["reason"]
        assert "already ended: cancelled" in lodged.refuses("approvals", "allow", second, code=3)
    assert not (Path(lodged.root) / "x").exists()
