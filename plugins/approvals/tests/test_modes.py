"""What each mode answers by itself, for every provider alike."""

from dataclasses import replace

import pytest
from approvals_stage import asked, call, numbers, touch

from aegis import Caller, Decision, PermissionRequest, hookimpl, verb


@pytest.mark.parametrize(
    ("mode", "kind", "path", "outcome"),
    [
        ("read", "read", "a.py", "allowed"),
        ("read", "read", "../secrets", None),
        ("read", "search", None, "allowed"),
        ("read", "edit", "a.py", "denied"),
        ("read", "edit", "\0", "denied"),
        ("read", "execute", None, "denied"),
        ("read", "fetch", None, "denied"),
        ("read", "switch_mode", None, "denied"),
        ("read", "other", None, "denied"),
        ("write", "edit", "a.py", "allowed"),
        ("write", "delete", "a.py", None),
        ("write", "edit", "sub/../../out.py", None),
        ("write", "edit", "link/x.py", None),
        ("write", "edit", "~/x.py", None),
        ("write", "edit", "file:///etc/hosts", None),
        ("write", "edit", "\0", None),
        ("write", "edit", ".aegis.yaml", None),
        ("write", "edit", "sub/../.aegis/agents/x.yaml", None),
        ("write", "read", ".aegis.yaml", "allowed"),
        ("write", "edit", None, None),
        ("write", "execute", None, None),
        ("write", "switch_mode", None, None),
        ("write", "other", ".git/hooks/pre-commit", None),
        ("full", "execute", None, "allowed"),
        ("full", "edit", "../out.py", "allowed"),
        ("auto", "read", "a.py", "allowed"),
        ("auto", "think", None, "allowed"),
        ("auto", "edit", "a.py", None),
        ("auto", "other", None, None),
    ],
)
async def test_what_each_mode_answers_by_itself(kernel, asking, project, mode, kind, path, outcome):
    (project / "link").symlink_to(project.parent)
    seat = await asking.seat(kernel, mode)
    async with asked(seat, touch(kind, *[path] if path else [])) as got:
        if outcome is None:
            assert await numbers(kernel) == ["1"], "a person is asked"
            await call(kernel, "deny", request="1")
    if outcome:
        assert [d.outcome for d in got] == [outcome]
        [row] = await call(kernel, "list", all=True)
        assert (row.outcome, row.rule) == (outcome, f"mode {mode}")


@pytest.mark.parametrize(("outcome", "mode"), [("allowed", "auto"), ("denied", "full")])
async def test_what_the_driver_holds_an_agent_to_is_kept_and_nobody_is_asked(kernel, asking, outcome, mode):
    """Neither is what the mode says here: a CLI may be held to more, or need less."""
    seat = await asking.seat(kernel, mode)
    presumed = Decision(outcome, "so says its driver")
    request = replace(touch("edit", "../out.py"), presumed=presumed)
    assert (await seat.ask(request)).outcome == outcome
    [row] = await call(kernel, "list", all=True)
    assert (row.rule, row.agent, row.title) == (f"mode {mode}", "calm-codd", "../out.py")


class Dice:
    """A plugin whose verb is a tool of the plane."""

    name = "dice"

    @hookimpl
    def aegis_primitives(self):
        return [self]

    @verb("dice roll")
    async def roll(self, caller: Caller) -> str:
        """Roll."""
        return "4"


@pytest.fixture
def plugins(plugins):
    return plugins | {"dice": Dice()}


async def test_the_planes_own_tools_are_never_asked_about(kernel, asking):
    seat = await asking.seat(kernel, "read")
    assert (await seat.ask(PermissionRequest("1", "mcp__aegis__aegis_dice_roll", "other"))).allowed
    assert await call(kernel, "list", all=True) == []


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("mcp__aegis__aegis_dice_roll", "execute"),
        ("mcp__aegis__aegis_dice_roll; rm -rf .", "other"),
        ("mcp__aegis_evil__aegis_dice_roll", "other"),
        ("mcp__aegis__aegis_dice_rm", "other"),
    ],
)
async def test_what_only_looks_like_the_planes_own_is_not(kernel, asking, tool, kind):
    assert not (await (await asking.seat(kernel, "read")).ask(PermissionRequest("1", tool, kind))).allowed
