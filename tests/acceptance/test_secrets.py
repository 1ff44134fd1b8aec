"""A secret that a profile names reaches its agent and nothing else: no file, no event, no screen."""

import json
import sys

SECRET = 'sesame-"4711"-\\-open'
# An agent over ACP that says its secret in every way: as words, thoughts, tools, a permission request, on stderr.
AGENT = r"""
import json, os, sys
def hear(): return json.loads(sys.stdin.readline() or sys.exit(0))
def say(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def update(kind, /, **fields):
    say(method="session/update", params={"sessionId": "s1", "update": {"sessionUpdate": kind, **fields}})
KEY = os.environ["API_KEY"]
for _ in range(2):
    asked = hear()
    if asked["method"] == "initialize":
        say(id=asked["id"], result={"protocolVersion": 1, "agentCapabilities": {"mcpCapabilities": {"http": True}}})
    else:
        say(id=asked["id"], result={"sessionId": "s1"})
while True:
    asked = hear()
    words = asked["params"]["prompt"][-1]["text"]
    if "die" in words:
        print("the key is", KEY, file=sys.stderr, flush=True)
        sys.exit(3)
    update("agent_thought_chunk", content={"type": "text", "text": f"I think of {KEY}"})
    call = {"toolCallId": "c1", "title": f"curl -H {KEY}", "kind": "execute", "rawInput": {"command": ["curl", KEY]}}
    update("tool_call", status="pending", **call)
    options = [{"optionId": kind, "name": kind, "kind": kind} for kind in ("allow_once", "reject_once")]
    say(id=7, method="session/request_permission", params={"sessionId": "s1", "toolCall": call, "options": options})
    hear()
    nested = json.dumps({"said": json.dumps(KEY)})
    update("tool_call_update", toolCallId="c1", status="completed", rawOutput={"output": nested})
    update("agent_message_chunk", content={"type": "text", "text": f"my key is {KEY}"})
    say(id=asked["id"], result={"stopReason": "end_turn"})
"""


def test_a_secret_is_nowhere_but_with_its_agent(aegis):
    aegis.environment["WEATHER_KEY"] = SECRET
    profile = {"provider": "acp", "command": [sys.executable, "-c", AGENT], "env": {"API_KEY": "${secret:WEATHER_KEY}"}}
    bad = profile | {"env": {"API_KEY": "${secret:WEATHER_KAY}"}}
    config = {"agents": {"wren": profile | {"permission": "auto"}, "rex": bad}, "queues": {"q": {"agent": "wren"}}}
    (aegis.root / ".aegis.yaml").write_text(json.dumps(config))
    said = []
    with aegis.serving():
        aegis.run("spawn", "wren", "--handle", "wren")
        aegis.run("send", "wren", "go")
        aegis.eventually(lambda: aegis.json("approvals", "list"), "a request")
        said += [aegis.says("approvals", "list"), aegis.says("approvals", "show", "1"), aegis.says("sessions")]
        aegis.run("approvals", "deny", "1", f"never {SECRET}")
        aegis.eventually(lambda: "my key is <secret:WEATHER_KEY>" in aegis.says("transcript", "wren"), "an answer")
        said += [aegis.says("transcript", "wren"), aegis.says("events", "wren")]
        aegis.run("term", "spawn", "t")
        aegis.run("term", "run", "t", f"echo '{SECRET}'")
        said += [aegis.says("term", "read", "t"), aegis.says("term", "screen", "t")]
        aegis.run("send", "wren", "die")
        aegis.eventually(lambda: "the key is <secret:WEATHER_KEY>" in aegis.says("events", "wren"), "its last words")
        said += [aegis.says("--json", "sessions"), aegis.says("doctor")]
        refusal = aegis.run("spawn", "rex", "--handle", "rex", code=1).stderr
        assert "API_KEY needs the secret 'WEATHER_KAY'" in refusal and "Did you mean 'WEATHER_KEY'" in refusal
    forms = {SECRET, json.dumps(SECRET)[1:-1], json.dumps(json.dumps(SECRET)[1:-1])[1:-1], "sesame-"}
    assert [form for form in forms for text in said if form in text] == []
    files = [path for path in (aegis.root / ".aegis").rglob("*") if path.is_file()]
    assert [path for path in files for form in forms if form.encode() in path.read_bytes()] == []
    assert any(b"<secret:WEATHER_KEY>" in path.read_bytes() for path in files)


def test_a_person_is_told_what_is_not_passed_on(aegis):
    aegis.environment |= {"ANTHROPIC_API_KEY": "x", "WEATHER_KEY": "y"}
    assert "`aegis environment list`" in aegis.json("doctor")["environment"]
    with aegis.serving():
        said = aegis.says("environment", "list")
    assert "only to claude-code: ANTHROPIC_API_KEY;" in said and "to no CLI: WEATHER_KEY;" in said
    (aegis.root / ".aegis.yaml").write_text("environment: {inherit: [WEATHER_*]}\n")
    with aegis.serving():
        said = aegis.json("doctor")["environment"]
    assert "only to claude-code: ANTHROPIC_API_KEY;" in said and "WEATHER_KEY" not in said
