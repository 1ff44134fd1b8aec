"""A slip in the configuration stops nothing, and is said at the start and by the doctor."""

import signal
import sys
from pathlib import Path

SLIPS = [
    "agents.a.verbs: no verb here matches 'handof'. Did you mean 'handoff'?",
    "plugins.disabled: no plugin 'aprovals' is installed. Did you mean 'approvals'?",
]


def test_a_slip_is_said_and_the_rest_works(aegis):
    (aegis.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: scripted, verbs: [handof, spawn]}\nplugins: {disabled: [aprovals]}\n"
    )
    problems = aegis.run("doctor", code=1).stdout
    assert all(f"✗ {slip}\n" in problems for slip in SLIPS)
    with aegis.serving() as server:
        assert aegis.says("spawn", "a", "--handle", "ada").startswith("ada is here")
        problems = aegis.run("doctor", code=1).stdout
        assert all(f"✗ {slip}\n" in problems for slip in SLIPS)
        server.send_signal(signal.SIGTERM)
        words = server.stderr.read()
    assert all(f"aegis: .aegis.yaml: {slip}\n" in words for slip in SLIPS)


def test_a_section_that_nobody_owns_is_a_word_on_every_surface(aegis):
    (aegis.root / ".aegis.yaml").write_text("agents:\n  a: {provider: scripted}\nqueus:\n  one: {agent: a}\n")
    remark = ".aegis.yaml:3: queus: no plugin here owns this section. Did you mean 'queues'? It has no effect."
    assert f"{remark}\n" in aegis.run("doctor", code=1).stdout
    with aegis.serving() as server:
        assert aegis.says("spawn", "a", "--handle", "ada").startswith("ada is here")
        assert [row["handle"] for row in aegis.json("sessions")] == ["ada"]
        server.send_signal(signal.SIGTERM)
        assert f"{remark}\n" in server.stderr.read()


def test_without_a_slip_nothing_is_said(aegis):
    (aegis.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: scripted, verbs: [handoff, 'sp*']}\nplugins: {disabled: [approvals]}\n"
    )
    assert "✓ nothing is broken" in aegis.run("doctor").stdout


def test_a_working_folder_that_is_not_there_is_named_and_nothing_is_left(aegis):
    (aegis.root / ".aegis.yaml").write_text("agents:\n  a: {provider: scripted, cwd: nowhere}\n")
    with aegis.serving():
        sentence = aegis.refuses("spawn", "a", "--handle", "ada", code=1)
        assert sentence.startswith("no 'a' agent was started: ")
        assert sentence.endswith(f"its working folder {aegis.root / 'nowhere'} does not exist")
        assert aegis.json("sessions") == []
        (aegis.root / "nowhere").mkdir()
        assert aegis.says("spawn", "a", "--handle", "ada").startswith("ada is here")


def test_a_profile_is_looked_for_by_its_own_command(aegis):
    (aegis.root / ".aegis.yaml").write_text("agents:\n  a: {provider: acp, command: [sh, -c, exit]}\n")
    assert "✓ nothing is broken" in aegis.run("doctor").stdout
    (aegis.root / ".aegis.yaml").write_text("agents:\n  a: {provider: acp, command: [no-such-agent]}\n")
    problems = aegis.json_of("doctor", code=1)["problems"]
    assert problems == ["the profile 'a' needs no-such-agent, which is not found."]


def test_without_any_agent_cli_the_doctor_says_what_is_left(aegis):
    aegis.environment["PATH"] = str(Path(sys.executable).parent)
    said = aegis.run("doctor").stdout
    assert said.endswith("✓ nothing is broken\n! no agent CLI was found: only scripted agents can be started, "
                         "without any model; install one of the above\n")  # fmt: skip
    (aegis.root / ".aegis.yaml").write_text(f"agents:\n  a: {{provider: acp, command: [{sys.executable}]}}\n")
    assert aegis.json("doctor")["advice"] == []


def test_the_doctor_says_which_cli_may_still_call_home(aegis):
    aegis.environment["PATH"] = "/bin"  # where no agent is
    (aegis.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: acp, command: [sh]}\n  o: {provider: opencode, command: [sh]}\n"
        "  c: {provider: claude-code, command: [sh]}\n  d: {provider: claude-code, command: [sh], quiet: false}\n"
    )
    acp, opencode, loud = sorted(aegis.json("doctor")["calls_home"])
    assert acp.startswith("acp may still call home: what it does by itself is not known, nor any switch for it")
    assert opencode.startswith("opencode may still call home: at its first start it installs its plugin kit")
    assert loud == "the CLI of the profile 'd' may call home: telemetry, updates, installs (`quiet` is off)"
    assert all(sentence in aegis.run("doctor").stdout for sentence in (acp, opencode, loud))


def test_a_profile_of_which_no_agent_could_be_started_says_why(aegis):
    (aegis.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: acp}\n  b: {provider: acp, command: [sh], permission: read}\n"
        "  c: {provider: gemini-cli}\n"
    )
    aegis.environment["PATH"] = "/bin"  # where no agent is
    assert aegis.json_of("doctor", code=1)["problems"] == [
        "the profile 'a' cannot be used: an agent with `provider: acp` needs `command: [...]`: how it is started, "
        "ACP on its pipes",
        "the profile 'b' cannot be used: nothing holds this agent to the permission 'read': name its own mode for it "
        "(`mode_map: {read: ...}`), or say `asks: true` if it asks before everything that changes something",
        "the profile 'c' needs gemini, which is not found. install Gemini CLI: npm install -g @google/gemini-cli",
    ]
