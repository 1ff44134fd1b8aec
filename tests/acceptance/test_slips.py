"""A slip in the configuration stops nothing, and is said at the start and by the doctor."""

import signal

SLIPS = [
    "agents.a.verbs: no verb here matches 'handof'. Did you mean 'handoff'?",
    "plugins.disabled: no plugin 'aprovals' is installed. Did you mean 'approvals'?",
]


def test_a_slip_is_said_and_the_rest_works(house):
    (house.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: scripted, verbs: [handof, spawn]}\nplugins: {disabled: [aprovals]}\n"
    )
    problems = house.run("doctor", code=1).stdout
    assert all(f"✗ {slip}\n" in problems for slip in SLIPS)
    with house.serving() as server:
        assert house.says("spawn", "a", "--handle", "ada").startswith("ada is here")
        problems = house.run("doctor", code=1).stdout
        assert all(f"✗ {slip}\n" in problems for slip in SLIPS)
        server.send_signal(signal.SIGTERM)
        words = server.stderr.read()
    assert all(f"aegis: .aegis.yaml: {slip}\n" in words for slip in SLIPS)


def test_a_section_that_nobody_owns_is_a_word_on_every_surface(house):
    (house.root / ".aegis.yaml").write_text("agents:\n  a: {provider: scripted}\nqueus:\n  one: {agent: a}\n")
    remark = ".aegis.yaml:3: queus: no plugin here owns this section. Did you mean 'queues'? It has no effect."
    assert f"{remark}\n" in house.run("doctor", code=1).stdout
    with house.serving() as server:
        assert house.says("spawn", "a", "--handle", "ada").startswith("ada is here")
        assert [row["handle"] for row in house.json("sessions")] == ["ada"]
        server.send_signal(signal.SIGTERM)
        assert f"{remark}\n" in server.stderr.read()


def test_without_a_slip_nothing_is_said(house):
    (house.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: scripted, verbs: [handoff, 'sp*']}\nplugins: {disabled: [approvals]}\n"
    )
    assert "✓ nothing is broken" in house.run("doctor").stdout


def test_a_working_folder_that_is_not_there_is_named_and_nothing_is_left(house):
    (house.root / ".aegis.yaml").write_text("agents:\n  a: {provider: scripted, cwd: nowhere}\n")
    with house.serving():
        sentence = house.refuses("spawn", "a", "--handle", "ada", code=1)
        assert sentence.startswith("no 'a' agent was started: ")
        assert sentence.endswith(f"its working folder {house.root / 'nowhere'} does not exist")
        assert house.json("sessions") == []
        (house.root / "nowhere").mkdir()
        assert house.says("spawn", "a", "--handle", "ada").startswith("ada is here")


def test_a_profile_is_looked_for_by_its_own_command(house):
    (house.root / ".aegis.yaml").write_text("agents:\n  a: {provider: acp, command: [sh, -c, exit]}\n")
    assert "✓ nothing is broken" in house.run("doctor").stdout
    (house.root / ".aegis.yaml").write_text("agents:\n  a: {provider: acp, command: [no-such-agent]}\n")
    problems = house.json_of("doctor", code=1)["problems"]
    assert problems == ["the profile 'a' needs no-such-agent, which is not found."]


def test_a_profile_of_which_no_agent_could_be_started_says_why(house):
    (house.root / ".aegis.yaml").write_text(
        "agents:\n  a: {provider: acp}\n  b: {provider: acp, command: [sh], permission: read}\n"
        "  c: {provider: gemini-cli}\n"
    )
    house.environment["PATH"] = "/bin"  # where no agent is
    assert house.json_of("doctor", code=1)["problems"] == [
        "the profile 'a' cannot be used: an agent with `provider: acp` needs `command: [...]`: how it is started, "
        "ACP on its pipes",
        "the profile 'b' cannot be used: nothing holds this agent to the permission 'read': name its own mode for it "
        "(`mode_map: {read: ...}`), or say `asks: true` if it asks before everything that changes something",
        "the profile 'c' needs gemini, which is not found. install Gemini CLI: npm install -g @google/gemini-cli",
    ]
