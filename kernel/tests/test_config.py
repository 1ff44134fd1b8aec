"""`.aegis.yaml`: what is wrong is a sentence with file, line, key and the nearest valid choice, and nothing starts."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trio
from fakedriver import FakeDriver, Plugin
from pydantic import Field

from aegis.app import open_kernel
from aegis.config import Config, Settings
from aegis.driver import Driver, Profile
from aegis.errors import ConfigError, NotFound
from aegis.events import ConfigChanged
from aegis.registry import Registry


class Queue(Settings):
    workers: int = Field(1, ge=1)
    agent: str = ""


class Metrics(Settings):
    interval: float = 60
    sinks: tuple[str, ...] = ()


class ClaudeProfile(Profile):
    effort: str = "medium"


def config(root: Path, text: str | None = None) -> Config:
    if text is not None:
        (root / ".aegis.yaml").write_text(text)
    claude, gemini = FakeDriver("claude"), FakeDriver("gemini")
    claude.settings = ClaudeProfile
    sections = {"queues": dict[str, Queue], "plugins.metrics": Metrics}
    return made_of(root, sections, [claude, gemini])


def made_of(root: Path, sections: dict[str, Any], drivers: Sequence[FakeDriver] = ()) -> Config:
    """Return the configuration in a folder for these sections and drivers; what changes is kept in `told`."""
    known, owned = Registry[Driver]("driver"), Registry[Any]("section")
    for driver in drivers:
        known.add(driver.name, driver, driver.name)
    for name, model in sections.items():
        owned.add(name, model, f"plugin of {name}")
    return Config(root, owned, known, told.append)


told: list[ConfigChanged] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()


@pytest.mark.parametrize("text", [None, "", "\n", "# nothing yet\n", "---\n", "agents:\n", "agents: {}\nqueues:\n"])
def test_without_settings_everything_has_its_default(tmp_path: Path, text: str | None) -> None:
    made = config(tmp_path, text)
    assert made.section("queues") == {}
    assert made.section("plugins.metrics") == Metrics()
    assert made.names() == ["claude", "gemini"]
    profile, driver = made.profile("claude")
    assert (profile, driver.name) == (ClaudeProfile(provider="claude"), "claude")
    with pytest.raises(
        NotFound, match=r"no profile is named, and there is no `default_agent` \(profiles: claude, gemini"
    ):
        made.profile("")


def test_what_is_set_is_read(tmp_path: Path) -> None:
    made = config(
        tmp_path,
        "default_agent: fast\n"
        "agents:\n  fast: {provider: claude, effort: low, turn_limit: 60}\n  old: {harness: gemini}\n"
        "queues:\n  ci: {workers: 3, agent: fast}\nplugins:\n  metrics: {sinks: [a, b]}\n  disabled: [x]\n",
    )
    assert made.profile("")[0] == ClaudeProfile(provider="claude", effort="low", turn_limit=60)
    assert made.profile("old")[1].name == "gemini"
    assert made.section("queues")["ci"].workers == 3
    assert made.section("plugins.metrics").sinks == ("a", "b")
    assert made.names() == ["claude", "fast", "gemini", "old"]
    with pytest.raises(NotFound, match=r"no profile 'fest' \(profiles: claude, fast, gemini, old\)\. Did you mean"):
        made.profile("fest")


WRONG = {
    "unknown key": (
        "queues:\n  ci:\n    worker: 2\n",
        r":3: queues\.ci\.worker: .*agent, workers.*Did you mean 'workers'",
    ),
    "unknown key of a profile": (
        "agents:\n  a:\n    provider: claude\n    efort: low\n",
        r":4: agents\.a\.efort: .*Did you mean 'effort'",
    ),
    "wrong type": ("queues:\n  ci:\n    workers: many\n", r":3: queues\.ci\.workers: .*integer"),
    "out of range": ("queues:\n  ci: {workers: 0}\n", r":2: queues\.ci\.workers: .*greater than or equal to 1"),
    "none of the choices": (
        "agents:\n  a:\n    provider: claude\n    permission: root\n",
        r":4: agents\.a\.permission: 'root' is none of 'read', 'write', 'full' or 'auto'",
    ),
    "no provider": ("agents:\n  a: {}\n", r"agents\.a\.provider: `provider:` is missing"),
    "a profile that is a text": ("agents:\n  a: claude\n", r":2: agents\.a: an agent is a mapping"),
    "agents as a list": ("agents: [a]\n", r":1: agents: `agents:` must be a mapping"),
    "a list of plugins": ("plugins: [metrics]\n", r":1: plugins: .*mapping"),
    "plugins as a text": ("plugins: metrics\n", r":1: plugins: .*mapping"),
    "a text as the disabled plugins": ("plugins:\n  disabled: metrics\n", r":2: plugins\.disabled: .*list"),
    "a wrong list entry": (
        "plugins:\n  metrics:\n    sinks:\n    - a\n    - {}\n",
        r":5: plugins\.metrics\.sinks\.1: ",
    ),
    "duplicate key": ("agents:\n  a: {provider: claude}\nagents: {}\n", r":3: .*duplicate key"),
    "a tab": ("agents:\n\ta: 1\n", r":2: "),
    "a list": ("- a\n", "must be a mapping of sections"),
    "a text": ("hello\n", "must be a mapping of sections"),
    "two documents": ("a: 1\n---\nb: 2\n", r"\.aegis\.yaml"),
    "an undefined alias": ("agents: *nobody\n", r":1: .*undefined alias"),
    "a null byte": ("a\0: 1\n", r"\.aegis\.yaml"),
}


# What only a plugin that is not here would know: it was uninstalled, or disabled, or its name has a slip.
STRANGE = {
    "a section": ("agents: {}\nqueus:\n  ci: {}\n", r":2: queus: no plugin here .*Did you mean 'queues'"),
    "a number as section": ("5: x\n", r":1: 5: no plugin here owns"),
    "the provider of a profile": (
        "agents:\n  a: {provider: cluade, effort: 5}\n",
        r":2: agents\.a\.provider: there is no provider 'cluade' \(installed: claude, gemini\)\. Did you mean 'claude'",
    ),
    "the default agent": ("default_agent: cloud\n", r":1: default_agent: there is no profile 'cloud'\."),
    "a profile that may be spawned": (
        "agents:\n  a: {provider: claude, spawns: [codex]}\n",
        r":2: agents\.a\.spawns: there is no profile 'codex'\.",
    ),
    "settings of a plugin": ("plugins:\n  metric: {}\n", r":2: plugins\.metric: .*Did you mean 'metrics'"),
    "the setting that disables": ("plugins:\n  dissabled: [x]\n", r":2: plugins\.dissabled: .*Did you mean 'disabled'"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_nothing_here_knows_is_a_word_and_everything_else_goes_on(tmp_path: Path, case: str) -> None:
    text, sentence = STRANGE[case]
    made = config(tmp_path, text)
    [remark] = made.remarks
    assert re.search(sentence, remark)
    assert remark.startswith(str(tmp_path / ".aegis.yaml"))
    assert remark.endswith("It has no effect.")
    assert made.profile("claude")[1].name == "claude"


def test_a_profile_that_cannot_be_used_says_why_when_it_is(tmp_path: Path) -> None:
    made = config(tmp_path, "default_agent: a\nagents:\n  a: {provider: cluade}\n  b: {provider: claude}\n")
    with pytest.raises(NotFound, match="the profile 'a' cannot be used: there is no provider 'cluade'"):
        made.profile("")
    assert made.profile("b")[1].name == "claude"


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, case: str) -> None:
    text, sentence = WRONG[case]
    with pytest.raises(ConfigError, match=sentence) as error:
        config(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / ".aegis.yaml"))
    assert error.value.exit_code == 2


def test_anchors_that_blow_up_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases make it larger than"):
        config(tmp_path, "\n".join(lines))


def test_an_alias_to_itself_is_refused(tmp_path: Path) -> None:
    for text in ("queues: &a\n  x: *a\n", "queues:\n  ci: &a\n    workers: [*a]\n", "queues: &a [*a]\n"):
        with pytest.raises(ConfigError):
            config(tmp_path, text)


def test_honest_aliases_and_merges_work(tmp_path: Path) -> None:
    made = config(tmp_path, "agents:\n  a: &base {provider: claude, effort: high}\n  b: {<<: *base, model: x}\n")
    assert made.profile("b")[0] == ClaudeProfile(provider="claude", effort="high", model="x")


def test_a_folder_an_unreadable_and_a_binary_file_are_said(tmp_path: Path) -> None:
    (tmp_path / ".aegis.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"\.aegis\.yaml is a directory"):
        config(tmp_path)
    (tmp_path / ".aegis.yaml").rmdir()
    (tmp_path / ".aegis.yaml").write_bytes(b"\xff\xfe\x00agents")
    with pytest.raises(ConfigError, match="cannot be read"):
        config(tmp_path)
    (tmp_path / ".aegis.yaml").unlink()
    (tmp_path / ".aegis.yaml").symlink_to(tmp_path / ".aegis.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        config(tmp_path)


async def test_with_a_wrong_file_nothing_starts(project: Path) -> None:
    (project / ".aegis.yaml").write_text("agents: {a: {provider: fake, permission: root}}\n")
    with pytest.raises(ConfigError):
        async with open_kernel(project, plugins={"fake": Plugin(drivers=[FakeDriver()])}, environment={}):
            pytest.fail("it started")
    assert [p.name for p in project.iterdir()] == [".aegis.yaml"]


# -- overlays -------------------------------------------------------------------------------------------------------


def overlay(root: Path, section: str, name: str, text: str) -> None:
    (root / ".aegis" / section).mkdir(parents=True, exist_ok=True)
    (root / ".aegis" / section / f"{name}.yaml").write_text(text)


def test_an_overlay_is_an_entry_of_its_section(tmp_path: Path) -> None:
    overlay(tmp_path, "queues", "nightly", "workers: 2\n")
    overlay(tmp_path, "agents", "solo", "provider: gemini\n")
    made = config(tmp_path, "queues:\n  ci: {}\n")
    assert {n: q.workers for n, q in made.section("queues").items()} == {"ci": 1, "nightly": 2}
    assert made.profile("solo")[1].name == "gemini"


def test_an_overlay_beside_an_entry_of_its_name_is_refused(tmp_path: Path) -> None:
    overlay(tmp_path, "queues", "ci", "workers: 2\n")
    with pytest.raises(ConfigError, match=r"queues\.ci is also in .*keep one of the two"):
        config(tmp_path, "queues:\n  ci: {}\n")


@pytest.mark.parametrize("text", ["wrokers: 2\n", "workers: no\n", "- 1\n", "a: [\n"])
def test_what_is_wrong_in_an_overlay_names_the_overlay(tmp_path: Path, text: str) -> None:
    overlay(tmp_path, "queues", "nightly", text)
    with pytest.raises(ConfigError, match=r"\.aegis/queues/nightly\.yaml"):
        config(tmp_path)


# -- reloading and editing ------------------------------------------------------------------------------------------


def test_a_bad_reload_keeps_the_last_good_configuration(tmp_path: Path) -> None:
    made = config(tmp_path, "queues:\n  ci: {workers: 3}\n")
    (tmp_path / ".aegis.yaml").write_text("queues: [")
    with pytest.raises(ConfigError):
        trio.run(made.refresh)
    assert made.section("queues")["ci"].workers == 3
    (tmp_path / ".aegis.yaml").write_text("queues:\n  ci: {workers: 4}\n")
    trio.run(made.refresh, "human:anna")
    assert made.section("queues")["ci"].workers == 4
    assert [(c.sections, c.who, bool(c.error)) for c in told] == [((), "", True), (("queues",), "human:anna", False)]


def test_a_change_is_told_with_the_sections_that_changed_and_by_whom(tmp_path: Path) -> None:
    made = config(tmp_path, "queues:\n  ci: {workers: 3}\nplugins: {metrics: {interval: 5}}\n")
    queue = made.of("plugin of queues")
    assert dict(queue) == {"queues": {"ci": Queue(workers=3)}}
    made.edit(lambda document: document["queues"]["ci"].update(workers=2), "agent:lucid-knuth")
    assert queue["queues"]["ci"].workers == 2
    (tmp_path / ".aegis.yaml").write_text("agents: {a: {provider: claude}}\ndefault_agent: a\n")
    trio.run(made.refresh, "the file")
    trio.run(made.refresh, "the file")  # nothing changed
    assert [(c.sections, c.who) for c in told] == [
        (("queues",), "agent:lucid-knuth"),
        (("agents", "default_agent", "plugins.metrics", "queues"), "the file"),
    ]
    with pytest.raises(KeyError):
        queue["plugins.metrics"]


def test_a_bad_file_is_told_once_and_its_mending_too(tmp_path: Path) -> None:
    made = config(tmp_path, "queues: {}\n")
    (tmp_path / ".aegis.yaml").write_text("queues: [")
    for _ in range(2):
        with pytest.raises(ConfigError):
            trio.run(made.refresh)
    assert made.error.startswith(str(tmp_path / ".aegis.yaml"))
    (tmp_path / ".aegis.yaml").write_text("queues: {}\n")
    trio.run(made.refresh)
    assert made.error == ""
    assert [bool(c.error) for c in told] == [True, False]


def test_what_comes_and_goes_with_its_plugin_counts_when_checked_again(tmp_path: Path) -> None:
    made = config(tmp_path, "queues: {}\nshapes: {a: 1}\n")
    assert len(made.remarks) == 1
    made.sections.add("shapes", dict[str, int], "shapes")
    made.check_again()
    assert (made.remarks, made.section("shapes")) == ([], {"a": 1})
    made.sections.remove("shapes")
    made.check_again()
    assert len(made.remarks) == 1
    made.sections.add("shapes", dict[str, Queue], "shapes")
    with pytest.raises(ConfigError, match=r":2: shapes\.a"):
        made.check_again()


COMMENTED = """\
# the team's agents

agents:
  fast:   # for small things
    provider: "claude"     # signed in
    effort: 'low'

# queues come last
queues:
  ci: {workers: 1}  # one is enough
"""


def test_an_edit_keeps_comments_quotes_and_order(tmp_path: Path) -> None:
    made = config(tmp_path, COMMENTED)
    made.edit(lambda document: document["queues"]["ci"].update(workers=2))
    assert (tmp_path / ".aegis.yaml").read_text() == COMMENTED.replace("workers: 1", "workers: 2")
    assert made.section("queues")["ci"].workers == 2


def test_an_edit_that_would_be_wrong_changes_nothing(tmp_path: Path) -> None:
    made = config(tmp_path, COMMENTED)
    with pytest.raises(ConfigError, match="integer"):
        made.edit(lambda document: document["queues"]["ci"].update(workers="many"))
    with pytest.raises(ZeroDivisionError):
        made.edit(lambda document: 1 // 0)
    assert (tmp_path / ".aegis.yaml").read_text() == COMMENTED
    assert made.section("queues")["ci"].workers == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [".aegis", ".aegis.yaml"]


def test_an_edit_makes_the_file_when_there_is_none(tmp_path: Path) -> None:
    made = config(tmp_path)
    made.edit(lambda document: document.update(queues={"ci": {"workers": 5}}))
    assert made.section("queues")["ci"].workers == 5
    assert stat.S_IMODE((tmp_path / ".aegis.yaml").stat().st_mode) == 0o644


def test_an_edit_keeps_mode_and_symbolic_link(tmp_path: Path) -> None:
    shared = tmp_path / "dotfiles" / "aegis.yaml"
    shared.parent.mkdir()
    shared.write_text(COMMENTED)
    shared.chmod(0o640)
    root = tmp_path / "project"
    root.mkdir()
    (root / ".aegis.yaml").symlink_to(shared)
    config(root).edit(lambda document: document["queues"]["ci"].update(workers=2))
    assert (root / ".aegis.yaml").is_symlink()
    assert "workers: 2" in shared.read_text()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640


def test_threads_that_edit_one_configuration_keep_every_change_in_force(tmp_path: Path) -> None:
    path = tmp_path / ".aegis.yaml"
    path.write_text("queues: {}\n")
    config = made_of(tmp_path, {"queues": dict[str, Queue]})

    def edits(n: int) -> None:
        for m in range(5):
            name = f"q{n}-{m}"
            config.edit(lambda document, name=name: document["queues"].update({name: {"agent": "a"}}))
            assert name in config.section("queues")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(edits, range(8)))
    assert sorted(config.section("queues")) == sorted(f"q{n}-{m}" for n in range(8) for m in range(5))


@pytest.mark.parametrize("written", ["8080", "1.10", "true", "0x1F", "2024-01-01", "1_000", "-5", ".5", "1e3"])
@pytest.mark.parametrize("place", ["env: {{A: x, PORT: {}}}  # c", "env:\n      PORT: {}   # c", "model: {}"])
def test_what_should_be_a_text_and_is_none_is_to_be_quoted(tmp_path: Path, place: str, written: str) -> None:
    text = "agents:\n  ann:\n    provider: claude\n    " + place + "\n"
    with pytest.raises(
        ConfigError, match=re.escape("without quotes it is") + ".*" + re.escape(f'quote it: "{written}"')
    ):
        config(tmp_path, text.format(written))
    for right in (f'"{written}"', f"!!str {written}"):
        profile = config(tmp_path, text.format(right)).profiles["ann"]
        assert written in (profile.env.get("PORT"), profile.model)


def test_an_overlay_is_made_changed_and_removed(tmp_path: Path) -> None:
    conf, file = config(tmp_path, "queues: {a: {workers: 2}}\n"), tmp_path / ".aegis" / "queues" / "night.yaml"
    conf.edit_overlay("queues", "night", lambda entry: entry.update(workers=3), "human:anna")
    assert (file.read_text(), conf.section("queues")["night"].workers) == ("workers: 3\n", 3)
    file.write_text("# why\nworkers:   3   # so many\n")
    conf.edit_overlay("queues", "night", lambda entry: entry.update(workers=4))
    assert file.read_text() == "# why\nworkers:   4   # so many\n"
    conf.edit_overlay("queues", "night", None)
    assert (file.exists(), [*conf.section("queues")]) == (False, ["a"])
    assert (tmp_path / ".aegis.yaml").read_text() == "queues: {a: {workers: 2}}\n"


@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        ("night", {"workers": 0}, "workers"),
        ("night", {"wrokers": 1}, "wrokers"),
        ("a", {"workers": 1}, "keep one of the two"),
        ("../../x", {"workers": 1}, "cannot be the name of a file"),
        (".hidden", {"workers": 1}, "cannot be the name of a file"),
        ("", {"workers": 1}, "cannot be the name of a file"),
    ],
)
def test_an_overlay_that_would_be_wrong_changes_nothing(tmp_path: Path, key: str, change: Any, says: str) -> None:
    conf = config(tmp_path, "queues: {a: {workers: 2}}\n")
    with pytest.raises(ConfigError, match=says):
        conf.edit_overlay("queues", key, lambda entry: entry.update(change))
    assert not [*tmp_path.rglob("*.yaml")][1:]
    assert (conf.section("queues").keys(), conf.error) == ({"a"}, "")
