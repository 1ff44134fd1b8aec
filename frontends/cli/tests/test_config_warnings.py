"""A name in the configuration that nothing answers to is said, with the nearest that would."""

import pytest

from aegis import Profile
from aegis.project import Project
from aegis_cli.config_warnings import config_warnings

VERBS = ["approvals list", "approvals show", "handoff", "spawn"]
PLUGINS = ["approvals", "inbox"]


def said(project, text, verbs=VERBS, **profiles):
    (project / ".aegis.yaml").write_text(text)
    made = {name: Profile(provider="x", verbs=patterns) for name, patterns in profiles.items()}
    return list(config_warnings(Project(project), made, PLUGINS, verbs))


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("handof", " Did you mean 'handoff'?"),
        ("aprovals *", " Did you mean 'approvals *'?"),
        ("approvals lst", " Did you mean 'approvals list'?"),
        ("Spawn", " Did you mean 'spawn'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_pattern_without_a_verb(project, pattern, nearest):
    sentence = f"agents.a.verbs: no verb here matches {pattern!r}.{nearest}"
    assert said(project, "", a=["spawn", pattern]) == [sentence]


def test_what_has_a_verb_gets_no_warning(project):
    assert said(project, "", a=["spawn", "*", "approvals *", "*off", "approvals l?st"], b=None, c=[]) == []


def test_where_the_verbs_are_not_known_nothing_is_said_of_them(project):
    assert said(project, "", verbs=[], a=["handof"]) == []


@pytest.mark.parametrize("text", ["", "plugins:\n", "plugins: {disabled: }\n", "plugins: {disabled: [inbox]}\n"])
def test_what_is_installed_gets_no_warning(project, text):
    assert said(project, text) == []


def test_a_disabled_plugin_that_is_not_installed(project):
    assert said(project, "plugins: {disabled: [inbox, aprovals, 7]}\n") == [
        "plugins.disabled: no plugin '7' is installed.",
        "plugins.disabled: no plugin 'aprovals' is installed. Did you mean 'approvals'?",
    ]
