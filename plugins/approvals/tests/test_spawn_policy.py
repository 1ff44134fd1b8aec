"""An agent is never the reason why another starts that could do more than itself, unless a person said so."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

import pytest
from approvals_stage import ANNA
from hypothesis import given
from hypothesis import strategies as st

from aegis import Caller, NotFound, Refused
from aegis_approvals.rulebook import Rulebook
from aegis_approvals.spawn_policy import SpawnPolicy, includes

PERMISSIONS = ("read", "auto", "write", "full")
VERBS = (None, ["*"], ["canvas *"], ["canvas read", "handoff"], ["handoff"], ["c*", "h*"], [])
FOLDERS = (None, ".", "sub", "sub/deep", "other", "..")
FILES = {"a", "sub/b", "sub/deep/c", "other/d", "../e"}
NAMES = ("handoff", "canvas read", "canvas write", "spawn", "queue add", "hold")
KINDS = tuple(product(PERMISSIONS, VERBS, FOLDERS))


def powers(permission: str, verbs: list[str] | None, folder: str | None) -> set[tuple[str, ...]]:
    """Return everything such an agent may do: what nobody is asked about, and whether it may ask at all."""
    home = (Path("/srv/project") / (folder or ".")).resolve()
    inside = {file for file in FILES if (Path("/srv/project") / file).resolve().is_relative_to(home)}
    may = {("use", name) for name in NAMES if verbs is None or any(fnmatchcase(name, v) for v in verbs)}
    may |= {("read", file) for file in inside}
    may |= {("ask",)} if permission != "read" else set()
    may |= {("edit", file) for file in inside} if permission == "write" else set()
    return may | {*product(("read", "edit", "run"), FILES)} if permission == "full" else may


async def test_every_pair_of_permission_verbs_and_folder(project, kernel):
    named = {f"p{n}": kind for n, kind in enumerate(KINDS)}
    keys = {n: {"provider": "asking", "permission": p, "verbs": v, "cwd": f} for n, (p, v, f) in named.items()}
    (project / ".aegis.yaml").write_text(json.dumps({"agents": keys}))
    await kernel.config.refresh()
    policy = SpawnPolicy(kernel, Rulebook(kernel))
    all_powers = {name: powers(*kind) for name, kind in named.items()}
    pairs = 0
    for name, own in all_powers.items():
        may = {other for other in named if policy.covers(name, other)}
        assert may == {other for other, its in all_powers.items() if its <= own}, named[name]
        pairs += len(named)
    assert pairs == (4 * 7 * 6) ** 2


@given(*[st.lists(st.text("ab *?[]!-", max_size=4), max_size=2)] * 2, st.text("ab -", max_size=5))
def test_what_is_included_is_had_whatever_the_patterns(ours: list[str], theirs: list[str], verb: str) -> None:
    def has(patterns: list[str]) -> bool:
        return any(fnmatchcase(verb, pattern) for pattern in patterns)

    assert has(ours) or not (includes(ours, theirs) and has(theirs))
    assert includes(None, theirs) and includes(ours, []) and includes(theirs, theirs)
    assert includes(theirs, None) == any(set(pattern) == {"*"} for pattern in theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (["canvas *"], ["canvas read"], True),
        (["canvas *"], ["canvas r*"], True),
        (["canvas *", "handoff"], ["handoff", "canvas *"], True),
        (["canvas *"], ["canvas*"], False),
        (["canvas r*"], ["canvas *"], False),
        (["canvas read"], ["canvas *"], False),
        (["canvas ?"], ["canvas *"], False),
        (["?*"], ["*"], False),
        (["*b*"], ["[ab]"], False),
    ],
)
def test_one_family_of_verbs_in_another(ours: list[str], theirs: list[str], expected: bool) -> None:
    assert includes(ours, theirs) is expected


GRANTS = """
agents:
  lead: {provider: asking, permission: read, spawns: [root, reader]}
  leader: {provider: asking, permission: full}
  alone: {provider: asking, permission: full, spawns: []}
  reader: {provider: asking, permission: read}
  root: {provider: asking, permission: full}
"""


@pytest.fixture
def granted(project, plugins):
    (project / ".aegis.yaml").write_text(GRANTS)


@pytest.mark.parametrize(
    ("own", "may"),
    [
        ("lead", ["reader", "root"]),  # exactly those it lists, wider ones too
        ("alone", []),
        ("reader", ["reader"]),  # and not `lead`, through which it would get `root`
        ("root", ["alone", "asking", "leader", "reader", "root"]),
    ],
)
async def test_a_person_grants_what_a_profile_may_spawn(granted, kernel, own, may):
    policy = SpawnPolicy(kernel, Rulebook(kernel))
    assert [name for name in kernel.config.names() if policy.covers(own, name)] == may


async def test_a_folder_that_is_a_link_counts_as_what_it_leads_to(project, tmp_path, kernel):
    (project / "sub").mkdir(parents=True)
    (project / "sub" / "out").symlink_to(tmp_path)
    body = "agents:\n  sub: {provider: asking, cwd: sub}\n  out: {provider: asking, cwd: sub/out}\n"
    (project / ".aegis.yaml").write_text(body)
    await kernel.config.refresh()
    policy = SpawnPolicy(kernel, Rulebook(kernel))
    assert [policy.covers("sub", name) for name in ("sub", "out")] == [True, False]


SENTENCE = r"^ann may not spawn 'root', only reader; a person may grant it: `spawns: \[root\]` in the profile 'reader'$"


async def test_a_wider_one_is_refused_and_nothing_is_left(granted, kernel, asking):
    ann = await kernel.roster.spawn("reader", "ann")
    by = kernel.roster.caller(ann)
    for who in (by, by.through("queue", "jobs"), by.through("workflow").through("group")):
        with pytest.raises(Refused, match=SENTENCE):
            await kernel.roster.spawn("root", "bo", who)
    assert kernel.roster.live() == {"ann"}
    assert len(asking.seats) == 1
    assert (await kernel.roster.spawn("reader", "bo", by)).by == ann.id


async def test_the_default_profile_is_judged_like_any_other(granted, kernel, project):
    (project / ".aegis.yaml").write_text(f"default_agent: root\n{GRANTS}")
    await kernel.config.refresh()
    ann = await kernel.roster.spawn("reader", "ann")
    with pytest.raises(Refused, match=SENTENCE):
        await kernel.roster.spawn("", "bo", kernel.roster.caller(ann))
    assert (await kernel.roster.spawn("", "bo")).profile_name == "root"


async def test_a_grant_is_in_force_from_the_next_spawn(granted, kernel, project):
    by = kernel.roster.caller(await kernel.roster.spawn("reader", "ann"))
    more = GRANTS.replace("reader: {provider: asking,", "reader: {provider: asking, spawns: [root],")
    (project / ".aegis.yaml").write_text(more)
    await kernel.config.refresh()
    assert (await kernel.roster.spawn("root", "bo", by)).state == "idle"
    with pytest.raises(Refused, match=r"ann may not spawn 'reader', only root"):
        await kernel.roster.spawn("reader", "cy", by)


async def test_people_and_programs_of_their_own_spawn_what_they_like(granted, kernel):
    for n, by in enumerate((Caller("system", "aegis"), ANNA, Caller("schedule", "nightly"))):
        assert (await kernel.roster.spawn("root", f"bo-{n}", by)).state == "idle"


async def test_who_is_gone_or_renamed_or_was_restarted_is_bound_still(granted, kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("reader", "ann")
        gone = await kernel.roster.spawn("reader", "gone")
        callers = [kernel.roster.caller(agent) for agent in (ann, gone)]
        await kernel.roster.close(gone)
        await kernel.roster.rename(ann, "ann-2")
        with pytest.raises(Refused, match="gone may not spawn 'root'"):
            await kernel.roster.spawn("root", "bo", callers[1])
    async with kernel_with(**plugins) as kernel:
        for by, label in zip(callers, ("ann-2", "gone"), strict=True):
            with pytest.raises(Refused, match=f"{label} may not spawn 'root'"):
                await kernel.roster.may_spawn(by, "root")


async def test_a_profile_that_is_gone_grants_nothing(granted, kernel, project):
    by = kernel.roster.caller(await kernel.roster.spawn("reader", "ann"))
    (project / ".aegis.yaml").write_text("agents:\n  root: {provider: asking}\n")
    await kernel.config.refresh()
    with pytest.raises(NotFound, match="there is no profile 'reader'"):
        await kernel.roster.spawn("root", "bo", by)
