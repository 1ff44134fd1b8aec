"""An agent is never the reason why another starts that could do more than itself, unless a person said so."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

import pytest
from fakedriver import FakeDriver, Plugin
from hypothesis import given
from hypothesis import strategies as st

from aegis.app import Kernel
from aegis.config import Config, includes
from aegis.driver import Driver
from aegis.errors import NotFound, Refused
from aegis.registry import Registry
from aegis.testing.plugin import Opened

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


def test_every_pair_of_permission_verbs_and_folder(tmp_path: Path) -> None:
    named = {f"p{n}": kind for n, kind in enumerate(KINDS)}
    keys = {n: {"provider": "fake", "permission": p, "verbs": v, "cwd": f} for n, (p, v, f) in named.items()}
    made = config(tmp_path, json.dumps({"agents": keys}))
    all_powers = {name: powers(*kind) for name, kind in named.items()}
    pairs = 0
    for name, own in all_powers.items():
        may = {other for other in made.spawnable(name) if other in named}
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


def config(root: Path, text: str) -> Config:
    (root / ".aegis.yaml").write_text(text)
    drivers = Registry[Driver]("driver")
    drivers.add("fake", FakeDriver(), "fake")
    return Config(root, Registry("section"), drivers)


GRANTS = """
agents:
  lead: {provider: fake, permission: read, spawns: [root, reader]}
  leader: {provider: fake, permission: full}
  alone: {provider: fake, permission: full, spawns: []}
  reader: {provider: fake, permission: read}
  root: {provider: fake, permission: full}
"""


@pytest.mark.parametrize(
    ("own", "may"),
    [
        ("lead", ["root", "reader"]),  # exactly those it lists, wider ones too
        ("alone", []),
        ("reader", ["reader"]),  # and not `lead`, through which it would get `root`
        ("root", ["alone", "fake", "leader", "reader", "root"]),
    ],
)
def test_a_person_grants_what_a_profile_may_spawn(tmp_path: Path, own: str, may: list[str]) -> None:
    assert config(tmp_path, GRANTS).spawnable(own) == may


def test_a_folder_that_is_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "sub" / "out").symlink_to(tmp_path)
    body = "agents:\n  sub: {provider: fake, cwd: sub}\n  out: {provider: fake, cwd: sub/out}\n"
    assert config(project, body).spawnable("sub") == ["sub"]


def test_an_unknown_profile_in_a_grant_is_said_when_it_is_read(tmp_path: Path) -> None:
    text = "agents:\n  a:\n    provider: fake\n    spawns: [a, reedar]\n  reader: {provider: fake}\n"
    sentence = r":4: agents\.a\.spawns: there is no profile 'reedar'\. Did you mean 'reader'"
    [remark] = config(tmp_path, text).remarks
    assert re.search(sentence, remark)


# ------------------------------------------------------------------------------------------------ where agents start


@pytest.fixture
def fake() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def plugins(project: Path, fake: FakeDriver) -> dict[str, object]:
    (project / ".aegis.yaml").write_text(GRANTS)
    return {"fake": Plugin(drivers=[fake])}


SENTENCE = r"^ann may not spawn 'root', only reader; a person may grant it: `spawns: \[root\]` in the profile 'reader'$"


async def test_a_wider_one_is_refused_and_nothing_is_left(kernel: Kernel, fake: FakeDriver) -> None:
    ann = await kernel.roster.spawn("reader", "ann")
    for by in (ann.id, "agent:ann"):
        with pytest.raises(Refused, match=SENTENCE):
            await kernel.roster.spawn("root", "bo", by)
    assert kernel.roster.live() == {"ann"} and len(fake.sessions) == 1
    assert (await kernel.roster.spawn("reader", "bo", ann.id)).by == ann.id


async def test_the_default_profile_is_judged_like_any_other(kernel: Kernel, project: Path) -> None:
    (project / ".aegis.yaml").write_text(f"default_agent: root\n{GRANTS}")
    kernel.config.reload()
    ann = await kernel.roster.spawn("reader", "ann")
    with pytest.raises(Refused, match=SENTENCE):
        await kernel.roster.spawn("", "bo", ann.id)
    assert (await kernel.roster.spawn("", "bo")).profile_name == "root"


async def test_a_grant_is_in_force_from_the_next_spawn(kernel: Kernel, project: Path) -> None:
    ann = await kernel.roster.spawn("reader", "ann")
    granted = GRANTS.replace("reader: {provider: fake,", "reader: {provider: fake, spawns: [root],")
    (project / ".aegis.yaml").write_text(granted)
    kernel.config.reload()
    assert (await kernel.roster.spawn("root", "bo", ann.id)).state == "idle"
    with pytest.raises(Refused, match=r"ann may not spawn 'reader', only root"):
        await kernel.roster.spawn("reader", "cy", ann.id)


async def test_people_and_the_house_spawn_what_they_like(kernel: Kernel) -> None:
    for n, by in enumerate(("system", "human:anna", "schedule:nightly")):
        assert (await kernel.roster.spawn("root", f"bo-{n}", by)).state == "idle"


async def test_who_is_gone_or_renamed_or_was_restarted_is_bound_still(
    kernel_with: Opened, plugins: dict[str, object]
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("reader", "ann")
        gone = await kernel.roster.spawn("reader", "gone")
        await kernel.roster.close(gone)
        await kernel.roster.rename(ann, "ann-2")
        with pytest.raises(Refused, match="gone may not spawn 'root'"):
            await kernel.roster.spawn("root", "bo", gone.id)
        with pytest.raises(NotFound, match="no agent 'agent:gone' is alive"):
            kernel.roster.vet("agent:gone", "root")
    async with kernel_with(**plugins) as kernel:
        with pytest.raises(Refused, match="ann-2 may not spawn 'root'"):
            kernel.roster.vet("agent:ann", "root")


async def test_a_profile_that_is_gone_grants_nothing(kernel: Kernel, project: Path) -> None:
    ann = await kernel.roster.spawn("reader", "ann")
    (project / ".aegis.yaml").write_text("agents:\n  root: {provider: fake}\n")
    kernel.config.reload()
    with pytest.raises(NotFound, match="there is no profile 'reader'"):
        await kernel.roster.spawn("root", "bo", ann.id)
