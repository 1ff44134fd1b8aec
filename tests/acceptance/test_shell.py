"""Two agents hand work to each other, and a person sees to it, all from the shell."""

import json
import signal
import subprocess

import pytest


def test_a_message_and_its_reply(staffed):
    assert staffed.says("send", "ada", "something", "new", "--wait").startswith("You said: something new")
    assert staffed.says("send", "ada", "something new") == "landed at ada"


def test_standard_input_is_a_message(staffed):
    said = staffed.run("send", "ada", "-", "--wait", stdin="two\nlines").stdout
    assert said.startswith("You said: two\nlines")


def test_a_handoff_between_two_agents(staffed):
    assert staffed.says("send", "ada", "tell bob the build is green", "--wait") == "landed at bob"
    newest, asked = staffed.json("message", "list", "--count", "2")
    assert (newest["sender"], newest["recipient"], newest["body"]) == ("agent:ada", "bob", "the build is green")
    assert newest["trace"] == asked["trace"] == asked["id"], "one request, one trace"
    assert staffed.json("message", "show", newest["id"])["body"] == "the build is green"
    assert "the build is green" in staffed.says("message", "show", newest["id"])
    assert "agent:ada" in staffed.says("message", "list")


def test_what_was_said_is_read_again(staffed):
    staffed.run("send", "bob", "remember me", "--wait")
    said = staffed.says("read", "bob")
    assert "> from human:" in said
    assert "You said: remember me" in said
    lately = staffed.says("events", "bob")
    assert "→ bob: remember me" in lately
    assert "bob: You said: remember me" in lately
    events = [json.loads(line)["event"]["t"] for line in staffed.says("events", "bob", "--json").splitlines()]
    assert events[-1] == "TurnEnded"


def test_a_handoff_of_a_persons(staffed):
    assert staffed.says("handoff", "bob", "look", "at", "this") == "landed at bob"


def test_sessions_as_a_table_and_as_json(staffed):
    head, *rows = staffed.says("sessions").splitlines()
    assert head.split()[:3] == ["handle", "profile", "state"]
    assert [row.split()[0] for row in rows] == ["ada", "bob"]
    assert [row["handle"] for row in staffed.json("sessions")] == ["ada", "bob"]


def test_a_rename_strands_nothing(staffed):
    assert staffed.says("rename", "ada", "eve") == "ada is now eve"
    assert staffed.says("send", "ada", "still you?", "--wait").startswith("You said: still you?")
    assert [row["handle"] for row in staffed.json("sessions")] == ["eve", "bob"]


def test_a_closed_agent_is_gone(staffed):
    assert staffed.says("close", "bob") == "bob is closed"
    assert staffed.refuses("send", "bob", "hello", code=4) == "no agent 'bob' is alive (live: ada)."


def test_events_as_they_happen(staffed):
    with staffed.start("events", "--follow", "--json") as follower:
        assert "following" in follower.stderr.readline()
        staffed.run("send", "ada", "tell bob now", "--wait")
        seen = []
        while not (seen and seen[-1]["agent"] == "bob" and seen[-1]["event"]["t"] == "TurnEnded"):
            seen.append(json.loads(follower.stdout.readline()))
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
    kinds = {(row["agent"], row["event"]["t"]) for row in seen}
    assert {("ada", "Delivered"), ("ada", "ToolCall"), ("bob", "Delivered"), ("bob", "Text")} <= kinds
    assert all(row["v"] == 1 for row in seen)


def test_one_agents_events_only(staffed):
    with staffed.start("events", "-f", "bob") as follower:
        follower.stderr.readline()
        staffed.run("send", "ada", "tell bob a secret", "--wait")
        lines = [follower.stdout.readline().rstrip() for _ in range(2)]
        follower.send_signal(signal.SIGINT)
        follower.wait(10)
    assert lines[0].startswith("✉ from agent:ada · ")
    assert lines[1] == "  a secret"


def test_ctrl_c_cancels_a_call_and_not_the_turn(staffed):
    with staffed.start("send", "ada", "wait 2", "--wait") as waiting:
        staffed.eventually(lambda: staffed.json("sessions")[0]["state"] == "working", "a turn")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(10) == 130
    assert staffed.says("send", "ada", "and now?", "--wait").startswith("You said: and now?")


def test_a_turn_is_interrupted(staffed):
    staffed.run("send", "ada", "wait 60")
    staffed.eventually(lambda: staffed.json("sessions")[0]["state"] == "working", "a turn")
    assert staffed.says("interrupt", "ada") == "ada was interrupted"
    assert staffed.says("send", "ada", "awake?", "--wait").startswith("You said: awake?")


def test_a_permission_is_given_from_the_shell(staffed):
    with staffed.start("send", "bob", "ask for a day off", "--wait") as asking:
        staffed.eventually(lambda: staffed.json("approvals", "list"), "a request")
        [pending] = staffed.json("approvals", "list")
        assert pending["agent"] == "bob"
        assert "is allowed" in staffed.says("approvals", "allow", pending["id"])
        assert "allowed" in asking.communicate(timeout=10)[0]


def test_completion_knows_who_lives(staffed):
    assert staffed.says("__complete", "send", "").splitlines() == ["ada", "bob"]
    assert staffed.says("__complete", "send", "b") == "bob"
    assert "scripted" in staffed.says("__complete", "spawn", "").splitlines()
    assert staffed.says("__complete", "events", "--follow", "a") == "ada"


def test_bash_completes_with_the_script(staffed):
    script = staffed.says("completion", "bash")
    ask = 'COMP_WORDS=(aegis send a); COMP_CWORD=2; _aegis; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{ask}"], env=staffed.environment, cwd=staffed.root, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "ada"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 2, "there is no command 'nonsense'. `aegis --help`"),
        (["sesions"], 2, "Did you mean 'sessions'?"),
        (["send"], 2, "required: HANDLE, TEXT"),
        (["approvals", "alow"], 2, "Did you mean 'approvals allow'?"),
        (["spawn", "nobody"], 4, "there is no profile 'nobody'"),
        (["send", "nobody", "hello"], 4, "no agent 'nobody' is alive (live: none)"),
        (["spawn", "scripted", "--handle", "No Good"], 3, "is not a handle"),
        (["-C", "nowhere", "sessions"], 2, "there is no folder 'nowhere'"),
        (["--frobnicate"], 2, "--frobnicate"),
    ],
)
def test_exit_codes(running, words, code, said):
    assert said in running.refuses(*words, code=code)
    answer = json.loads(running.run("--json", *words, code=code).stdout)
    assert (answer["v"], answer["ok"], answer["error"]["exit_code"]) == (1, False, code)
    assert said in answer["error"]["message"]


def test_help_is_the_verbs_own(running):
    overview = running.says("--help")
    assert "send HANDLE TEXT" in overview and "exit codes:" in overview
    assert "canvas claim" not in overview and "\n  canvas  " in overview
    assert "canvas log NAME [SECTION]" in running.says("--help", "--all")
    assert "canvas claim" in running.says("help", "canvas") and "term run" in running.says("terminal", "--help")
    assert running.says("help", "send") == running.says("send", "--help")
    assert "Stop the project's kernel." in running.says("help", "stop")
    assert "--wait" in running.says("send", "--help")
    assert "approvals allow" in running.says("approvals", "--help")


def test_a_verb_from_another_folder(running, tmp_path):
    inner = running.root / "deep" / "inside"
    inner.mkdir(parents=True)
    assert running.says("-C", str(inner), "sessions", "--json") == '{"v": 1, "ok": true, "value": []}'
    assert running.says("sessions", "--json", "--project", str(inner)) == '{"v": 1, "ok": true, "value": []}'


def test_whoever_reads_only_the_beginning_gets_no_traceback(running):
    reader = f"{running.environment['PATH'].split(':')[0]}/aegis --help | head -1"
    done = subprocess.run(
        ["bash", "-c", reader], env=running.environment, cwd=running.root, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: aegis")
    assert done.stderr == ""
