"""Rules: as narrow as what they came from, written where people see them, taken back, and never wider than `read`."""

from dataclasses import replace
from pathlib import Path

import pytest
from approvals_stage import CONFIG, asked, call, numbers, run, touch
from hypothesis import given
from hypothesis import strategies as st

from aegis import ConfigError, Decision, NotFound, PermissionRequest, Refused
from aegis_approvals.globs import ANY, PATH, UNCHAINED, covers, escaped
from aegis_approvals.rulebook import chosen, writable
from aegis_approvals.secrets import holds_secret
from aegis_approvals.settings import Rule
from aegis_approvals.subject import Subject, subject
from aegis_yamlfile.yamlfile import YamlFile

LINES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def rule(match, answer="allow", **more):
    return Rule(agent="calm-codd", match=match, answer=answer, **({"tool": "Bash"} | more))


def with_rules(project, *rules):
    """Write the rules by hand."""
    lines = "".join(f"      - {{{entry}}}\n" for entry in rules)
    (project / ".aegis.yaml").write_text(f"{CONFIG}plugins:\n  approvals:\n    rules:\n{lines}")


async def answers(seat, *requests):
    return [(await seat.ask(request)).outcome for request in requests]


async def test_always_writes_a_rule_that_is_seen_holds_and_is_taken_back(kernel, asking, project):
    seat = await asking.seat(kernel)
    async with asked(seat, run("npm test")) as got:
        said = await call(kernel, "allow", request="1", always=True)
    [row] = await call(kernel, "rules")
    assert said == (f"calm-codd: npm test is allowed, and from now on: {row.id}: allow calm-codd Bash 'npm test'")
    assert (row.agent, row.tool, row.match, row.answer) == ("calm-codd", "Bash", "npm test", "allow")
    assert (project / ".aegis.yaml").read_text() == CONFIG + (
        "plugins:\n  approvals:\n    rules:\n"
        "    - agent: calm-codd\n      tool: Bash\n      match: npm test\n      answer: allow\n"
    )
    assert got[0].allowed
    decision = await seat.ask(run("npm test", "again"))
    assert (decision.outcome, decision.reason) == (
        "allowed",
        f"the rule {row.id} says: allow calm-codd Bash 'npm test'",
    )
    assert [(r.outcome, r.rule, r.who) for r in await call(kernel, "list", all=True)] == [
        ("allowed", row.id, "human:anna"),
        ("allowed", row.id, ""),
    ]
    assert await call(kernel, "revoke", rule=row.id) == "revoked: allow calm-codd Bash 'npm test'"
    assert await call(kernel, "rules") == []
    async with asked(seat, run("npm test")):
        assert await numbers(kernel) == ["3"], "it is asked again"
        await call(kernel, "deny", request="3")
    with pytest.raises(NotFound, match=r"there is no rule 'x' \(rules: none\)"):
        await call(kernel, "revoke", rule="x")


async def test_a_rule_is_no_wider_than_its_request(kernel, asking):
    seat, other = await asking.seat(kernel), await asking.seat(kernel, handle="wry-hopper")
    async with asked(seat, run("echo [a]* ?")):
        await call(kernel, "allow", request="1", always=True)
    async with asked(seat, touch("edit", "src/a.py")):
        await call(kernel, "allow", request="2", always=True)
    assert [r.match for r in await call(kernel, "rules")] == ["echo [[]a][*] [?]", "./src/*"]
    assert (
        await answers(seat, run("echo [a]* ?"), touch("edit", "src/b.py"), touch("edit", "x/../src/c"))
        == ["allowed"] * 3
    )
    wider = [
        run("echo a"), run("echo [a]* ?; rm x"), run("echo [a]* ?", cwd="elsewhere"), run("echo [a]* ?", sandbox="off"),
        touch("edit", "src/sub/b.py"), touch("edit", "a.py"), touch("edit", "src/b.py", "a.py"),
        touch("edit", "src/b.py", tool="Write"), touch("edit", "src/../.aegis.yaml"),
    ]  # fmt: skip
    for request in wider:
        async with asked(seat, request):
            [number] = await numbers(kernel)
            await call(kernel, "deny", request=number)
    async with asked(other, run("echo [a]* ?")):
        [number] = await numbers(kernel)
        await call(kernel, "deny", request=number)


async def test_what_is_open_and_alike_is_answered_by_the_new_rule(kernel, asking):
    seat = await asking.seat(kernel)
    async with asked(seat, run("ls", "1"), run("ls", "2"), run("rm x", "3")) as got:
        await call(kernel, "allow", request="1", always=True)
        await call(kernel, "deny", request="3")
    assert sorted(d.outcome for d in got) == ["allowed", "allowed", "denied"]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (PermissionRequest("1", "Bash", "execute", "run the tests"), "neither its command nor a file"),
        (touch("edit", "~/x"), "neither its command nor a file"),
        (touch("edit", ".aegis.yaml"), "aegis's own settings"),
        (touch("edit", ".aegis/agents/x.yaml"), "aegis's own settings"),
        (run("curl -H 'Authorization: Bearer abcdefgh' x"), "a secret"),
        (run("deploy --as hunter2hunter2"), "a secret"),
        (run("ls \x85"), "nobody sees"),
        (run("ls \u202e"), "nobody sees"),
        (run("x" * 1001), "longer than 1000"),
    ],
)
async def test_no_rule_is_made_of_what_would_be_too_wide_or_a_secret(project, kernel_with, plugins, request_, why):
    async with kernel_with(**plugins) as kernel:
        seat = await plugins["asking"].seat(kernel)
        seat.env["DEPLOY_PASSWORD"] = "hunter2hunter2"
        async with asked(seat, request_) as got:
            for verb in ("allow", "deny"):
                seen = {"yes_i_see_it": True} if verb == "allow" else {}
                with pytest.raises(Refused, match=why):
                    await call(kernel, verb, request="1", always=True, **seen)
            assert not got and why in (await call(kernel, "show", request="1")).always
            await call(kernel, "deny", request="1")
        assert (project / ".aegis.yaml").read_text() == CONFIG


async def test_a_handle_that_is_a_profiles_name_gets_no_rule(kernel, asking):
    seat = await asking.seat(kernel, handle="asks-auto")
    async with asked(seat, run("ls")):
        with pytest.raises(Refused, match="also the name of a profile"):
            await call(kernel, "allow", request="1", always=True)
        await call(kernel, "allow", request="1")


async def test_deny_wins_wherever_it_stands_and_over_what_a_mode_allows(project, kernel_with, asking, plugins):
    with_rules(
        project,
        'agent: asks-auto, tool: Bash, match: "git **", answer: allow',
        'agent: asks-auto, kind: execute, match: "git push*", answer: deny',
        'agent: asks-write, kind: edit, match: "migrations/**", answer: deny',
    )
    async with kernel_with(**plugins) as kernel:
        auto = await asking.seat(kernel)
        assert await answers(auto, run("git log"), run("git push"), run("git push x; ls")) == [
            "allowed",
            "denied",
            "denied",
        ]
        write = await asking.seat(kernel, "write", "wry-hopper")
        assert await answers(write, touch("edit", "a"), touch("edit", "a", "migrations/x/y")) == ["allowed", "denied"]
        free = replace(touch("edit", "migrations/x"), presumed=Decision("allowed", "an edit inside its folder"))
        assert await answers(write, free) == ["denied"], "also over what its driver would allow by itself"


async def test_no_rule_lets_an_agent_that_may_read_do_more(project, kernel_with, asking, plugins):
    with_rules(
        project,
        *(
            f'agent: asks-read, kind: {kind}, match: "**", answer: allow'
            for kind in ("execute", "edit", "other", "read")
        ),
    )
    async with kernel_with(**plugins) as kernel:
        seat = await asking.seat(kernel, "read")
        asks = [
            run("ls"),
            touch("edit", "a"),
            PermissionRequest("1", "mcp__x", "other", input={}),
            touch("read", "../a"),
        ]
        assert await answers(seat, *asks) == ["denied", "denied", "denied", "allowed"]


async def test_no_rule_lets_an_agent_change_aegis_s_own_settings(project, kernel_with, asking, plugins):
    with_rules(project, 'agent: asks-auto, kind: edit, match: "**", answer: allow')
    async with kernel_with(**plugins) as kernel:
        seat = await asking.seat(kernel)
        assert await answers(seat, touch("edit", "a")) == ["allowed"]
        async with asked(seat, touch("edit", "a", ".aegis.yaml")) as got:
            [number] = await numbers(kernel)
            await call(kernel, "deny", request=number)
        assert not got[0].allowed


async def test_a_rule_follows_a_rename(kernel, asking):
    seat = await asking.seat(kernel)
    async with asked(seat, run("ls")):
        await call(kernel, "allow", request="1", always=True)
    await kernel.roster.rename(kernel.roster.find("calm-codd"), "wry-hopper")
    assert await answers(seat, run("ls")) == ["allowed"]


async def test_the_file_keeps_its_comments_and_a_broken_one_the_last_good_rules(kernel, asking, project):
    file, seat = project / ".aegis.yaml", await asking.seat(kernel)
    file.write_text(
        f"{CONFIG}plugins:\n  approvals:  # asked a lot\n    timeout: 60\n    rules:\n"
        '      - {agent: asks-auto, tool: Bash, match: "ls", answer: allow}  # harmless\n'
    )
    await kernel.config.refresh()
    assert await answers(seat, run("ls")) == ["allowed"]
    async with asked(seat, run("pwd")):
        [number] = await numbers(kernel)
        await call(kernel, "deny", request=number, always=True)
    text = file.read_text()
    assert all(kept in text for kept in ("# ours", "# asked a lot", "# harmless"))
    for broken, line in [
        ("{agent: x, match: y, answer: allow}", "tool"),
        ("{agent: x, tool: y, match: z, answer: perhaps}", "perhaps"),
        ("[", "expected"),
    ]:
        file.write_text(text + f"      - {broken}\n")
        with pytest.raises(ConfigError, match=line):
            await kernel.config.refresh()
        assert await answers(seat, run("ls"), run("pwd")) == ["allowed", "denied"]
        async with asked(seat, run("rm x")) as got:
            [number] = await numbers(kernel)
            with pytest.raises(ConfigError):
                await call(kernel, "allow", request=number, always=True)
            assert not got, "nothing half done"
            await call(kernel, "deny", request=number)
        assert file.read_text() == text + f"      - {broken}\n"
    file.write_text(CONFIG)
    await kernel.config.refresh()
    assert await call(kernel, "rules") == []


@pytest.mark.parametrize(
    ("match", "sort", "value", "allows", "denies"),
    [
        ("npm *", "command", "npm run x", True, True),
        ("npm *", "command", "npm x; rm y", False, True),
        ("npm *", "command", "npm x\nrm y", False, True),
        ("npm *", "command", "npm $(rm y)", False, True),
        ("npm **", "command", "npm x && y", True, True),
        ("npm ?", "command", "npm &", False, True),
        ("src/*", "path", "./src/a", True, True),
        ("src/*", "path", "./src/b/a", False, False),
        ("src/**", "path", "./src/b/a", True, True),
        ("**/*.pem", "path", "./a.pem", True, True),
        ("**/*.pem", "path", "/etc/x/a.pem", True, True),
        ("/etc/*", "path", "./etc/a", False, False),
        ("https://a/**", "url", "https://a/b/c", True, True),
        ("https://a/*", "url", "https://a/b/c", False, False),
        ("a[*]b", "command", "a*b", True, True),
        ("a[*]b", "command", "axb", False, False),
    ],
)
def test_what_a_glob_covers(match, sort, value, allows, denies):
    assert (rule(match).covers(sort, value), rule(match, "deny").covers(sort, value)) == (allows, denies)


@given(LINES, LINES)
def test_an_escaped_command_matches_itself_and_nothing_else(command, other):
    about = [Subject("command", (one,)) for one in (command, other)]
    assert chosen([rule(escaped(command))], about[0], "allow")
    assert bool(chosen([rule(escaped(command))], about[1], "allow")) == (command == other)


@given(command=LINES.filter(writable))
def test_a_rule_reads_in_the_file_as_it_was_written(tmp_path_factory, command):
    file = YamlFile(tmp_path_factory.mktemp("rules") / "x.yaml")
    made = rule(escaped(command))
    file.edit(lambda document: document.update(rules=[made.model_dump(exclude_none=True)]), lambda *found: None)
    assert Rule.model_validate(file.load()[1]["rules"][0]) == made


@pytest.mark.parametrize(
    ("given_", "about"),
    [
        ({"command": ["git", "log", "a b"]}, "git log 'a b'"),
        ({"command": "ls", "timeout": 9, "description": "look", "run_in_background": False}, "ls"),
        ({"command": "ls", "cwd": "."}, "ls"),
        ({"command": "ls", "workdir": "/etc"}, "cd /etc && ls"),
        ({"command": "ls", "dangerouslyDisableSandbox": True}, '{"command": "ls", "dangerouslyDisableSandbox": true}'),
        ({"command": {"a": 1}}, '{"command": {"a": 1}}'),
    ],
)
def test_what_a_command_is_about(given_, about):
    request = PermissionRequest("1", "Bash", "execute", "a title of the model's own", given_)
    assert subject(request, Path.cwd()).values == (about,)


@pytest.mark.parametrize(
    "text",
    ["API_KEY=abc x", "curl https://anna:pw@host", "x --token abc", "echo sk-abcdefghijklmnop", "say hunter2hunter2",
     "ghp_abcdefghijklmnop1234", '{"password": "x"}'],
)  # fmt: skip
def test_what_looks_like_a_secret(text):
    assert holds_secret(text, {"MY_TOKEN": "hunter2hunter2", "TOKEN_COUNT": "x"})


@pytest.mark.parametrize("text", ["npm test", "git log --author anna", "./src/tokens/*", "echo $API_KEY", "KEY=$KEY x"])
def test_what_does_not(text):
    assert not holds_secret(text, {"HOME": "/nowhere", "AUTHOR": "anna"})


@pytest.mark.parametrize("glob", ["**a**a**a**a**a**a**b", "*a*a*a*a*a*a*b", "**/**/**/**/**/**/b", "?*?*?*?*?*?*b"])
@pytest.mark.parametrize("one", [ANY, PATH, UNCHAINED], ids=["any", "path", "unchained"])
def test_a_glob_takes_linear_time_whatever_an_agent_says(glob, one):
    assert not covers(glob, "a" * 100_000, one)
    assert not covers(glob, "a/" * 50_000, one)


@pytest.mark.parametrize("said", ["a b", "a.b", "a\\b", "a\nb", "é#-&~|", "[x]", "{1}", "$(x)", "\x00", "漢"])
def test_a_glob_without_wildcards_means_what_it_says(said):
    assert covers(escaped(said), said, ANY)
    assert not covers(escaped(said), said + "x", ANY)
    assert not covers(escaped(said), "x" + said, ANY)


def test_half_a_surrogate_hides_nothing_from_a_rule_that_denies():
    assert covers("rm **", "rm \ud800 x", ANY)
