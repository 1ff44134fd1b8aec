"""A person answers, once; what was asked and how it ended is kept."""

import re
import shutil

import pytest
import trio
from approvals_stage import ANNA, BOB, asked, call, numbers, run, touch, until

import aegis_approvals.plugin
from aegis import Decision, NotFound, PermissionRequest, Refused
from aegis.events import PermissionAnswered, PermissionAsked
from aegis.verb_definition import plain
from aegis_printable.printable import deceptive

RUN = run("rm -rf build")


@pytest.mark.parametrize(("verb", "outcome"), [("allow", "allowed"), ("deny", "denied")])
async def test_a_person_answers_once_and_the_second_is_told(kernel, asking, verb, outcome):
    seat = await asking.seat(kernel)
    async with asked(seat, RUN) as got:
        [row] = await call(kernel, "list")
        assert (row.id, row.agent, row.tool, row.title, row.outcome) == (
            "1", "calm-codd", "Bash", "rm -rf build", "open",
        )  # fmt: skip
        said = await call(kernel, verb, request="1", reason="because")
        assert said == f"calm-codd: rm -rf build is {outcome}"
        told = rf"1 \(calm-codd: rm -rf build\) has already ended: {outcome} by human:anna \(because\)"
        with pytest.raises(Refused, match=told):
            await call(kernel, "allow", request="1", by=BOB)
    assert got == [Decision(outcome, "because")]
    assert await numbers(kernel) == []


async def test_two_at_the_same_time_and_the_first_counts(kernel, asking):
    seat, told = await asking.seat(kernel), {}

    async def answer(who, verb):
        try:
            told[who.name] = await call(kernel, verb, request="1", by=who)
        except Refused as refusal:
            told[who.name] = str(refusal)

    async with asked(seat, RUN) as got, trio.open_nursery() as nursery:
        nursery.start_soon(answer, ANNA, "allow")
        for _ in range(2):  # hers is on its way to the disk
            await trio.lowlevel.checkpoint()
        nursery.start_soon(answer, BOB, "deny")
    assert got == [Decision("allowed", "allowed by human:anna")]
    assert told["anna"] == "calm-codd: rm -rf build is allowed"
    assert told["bob"] == "request 1 (calm-codd: rm -rf build) has already ended: allowed by human:anna"


async def test_an_unknown_request_names_the_open_ones(kernel, asking):
    seat = await asking.seat(kernel)
    with pytest.raises(NotFound, match=r"there is no request '9' \(open: none\)"):
        await call(kernel, "allow", request="9")
    async with asked(seat, RUN):
        for verb in ("allow", "show"):
            with pytest.raises(NotFound, match=r"no request 'x' \(open: 1 \(calm-codd: rm -rf build\)\)"):
                await call(kernel, verb, request="x")
        await call(kernel, "deny", request="1")


async def test_requests_whose_clis_number_alike_are_asked_for_and_answered_apart(kernel, asking):
    first, second = await asking.seat(kernel), await asking.seat(kernel, handle="wry-hopper")
    async with asked(first, run("ls", "01REQ"), run("ls -l", "01REQ")) as one, asked(second, run("ls", "01REQ")) as two:
        assert await numbers(kernel) == ["1", "2", "3"]
        await call(kernel, "deny", request="3")
        with pytest.raises(NotFound, match="there is no request '01REQ'"):
            await call(kernel, "allow", request="01REQ")
        await call(kernel, "allow", request="2")
        await call(kernel, "allow", request="1")
    assert ([d.outcome for d in one], two[0].outcome) == (["allowed", "allowed"], "denied")


async def test_a_request_has_one_number_wherever_it_is_seen_and_no_later_run_uses_it_again(kernel_with, plugins):
    seen: list[set[str]] = []
    asking = plugins["asking"]
    for run_of_the_kernel in range(3):
        async with kernel_with(**plugins) as kernel:
            seat = await asking.seat(kernel, handle=f"calm-codd-{run_of_the_kernel}")
            with kernel.bus.subscribe() as news:
                async with asked(seat, RUN):
                    agent = kernel.roster.get(seat.agent_id)
                    [row] = await call(kernel, "list")
                    seen.append({row.id, *agent.asking, *(a["id"] for a in agent.snapshot()["asking"])})
                    await call(kernel, "allow", request=row.id)
                events = [e for batch in news.take() for e in batch.events]
            seen[-1] |= {e.id for e in events if isinstance(e, PermissionAsked | PermissionAnswered)}
    assert [len(ids) for ids in seen] == [1, 1, 1]
    given = [int(number) for ids in seen for number in ids]
    assert given == sorted(set(given))


async def test_the_question_and_its_end_are_seen_and_kept(kernel, asking):
    seat = await asking.seat(kernel)
    agent = kernel.roster.get(seat.agent_id)
    with kernel.bus.subscribe() as news:
        async with asked(seat, RUN):
            assert [a["id"] for a in agent.snapshot()["asking"]] == ["1"]
            sheet = await call(kernel, "show", request="1")
            assert (sheet.outcome, sheet.asked.input) == ("open", {"command": "rm -rf build"})
            assert sheet.always == "allow calm-codd Bash 'rm -rf build'"
            assert str(sheet).splitlines() == [
                "1: rm -rf build",
                "agent    calm-codd",
                "tool     Bash",
                "kind     execute",
                f"since    {sheet.asked.since}",
                "outcome  open",
                "always   allow calm-codd Bash 'rm -rf build'",
                "input    command: rm -rf build",
            ]
            await call(kernel, "allow", request="1", reason="fine")
        events = [e for batch in news.take() for e in batch.events]
    assert [type(e) for e in events if isinstance(e, PermissionAsked | PermissionAnswered)] == [
        PermissionAsked,
        PermissionAnswered,
    ]
    kinds = [(r.kind, r.data.get("outcome")) for r in kernel.ledger.book("approvals").find("1")]
    assert kinds == [("asked", None), ("ended", "allowed")]
    [row] = plain(await call(kernel, "list", all=True))
    assert {name: row[name] for name in ("id", "outcome", "reason", "rule", "who")} == {
        "id": "1", "outcome": "allowed", "reason": "fine", "rule": "", "who": "human:anna",
    }  # fmt: skip
    assert row["at"] >= row["since"]
    assert (await call(kernel, "show", request="1")).who == "human:anna"


async def test_of_a_huge_input_the_book_keeps_the_beginning_and_the_person_sees_all(kernel, asking):
    huge = "x" * 100_000
    async with asked(await asking.seat(kernel), run(huge)):
        assert (await call(kernel, "show", request="1")).asked.input == {"command": huge}
        await call(kernel, "deny", request="1")
    kept = (await call(kernel, "show", request="1")).asked.input
    assert len(kept) < 5_000 and kept.endswith("… (100,014 characters)")


async def test_nobody_answers_and_it_expires(project, kernel_with, asking, plugins, autojump):
    with (project / ".aegis.yaml").open("a") as file:
        file.write("plugins: {approvals: {timeout: 60}}\n")
    async with kernel_with(**plugins) as kernel:
        async with asked(await asking.seat(kernel), RUN) as got:
            pass
        assert got == [Decision("expired", "nobody answered within 60 s")]
        [row] = await call(kernel, "list", all=True)
        assert (row.outcome, row.rule) == ("expired", "timeout")


async def test_a_question_whose_agent_is_gone_is_cancelled(kernel, asking):
    seat = await asking.seat(kernel)
    with trio.CancelScope() as scope:
        async with asked(seat, RUN):
            scope.cancel()
    assert await numbers(kernel) == []
    with pytest.raises(Refused, match="already ended: cancelled"):
        await call(kernel, "allow", request="1")


async def test_an_answer_that_comes_as_the_turn_ends_is_not_said_to_have_counted(kernel, asking):
    seat = await asking.seat(kernel)
    with trio.CancelScope() as turn:
        async with asked(seat, RUN):
            turn.cancel()
            late = r"ended: cancelled \(the turn ended before it heard that it was allowed by human:anna\)"
            with trio.CancelScope(shield=True), pytest.raises(Refused, match=late):
                await call(kernel, "allow", request="1")
    assert kernel.ledger.book("approvals").find("1")[-1].data["outcome"] == "cancelled"


async def test_what_was_open_when_aegis_died_is_cancelled_and_numbers_go_on(
    project, tmp_path, kernel_with, asking, plugins
):
    crashed = tmp_path / "crashed"
    async with kernel_with(**plugins) as kernel:
        async with asked(await asking.seat(kernel), RUN):
            shutil.copytree(project, crashed, ignore=shutil.ignore_patterns("*.sock"))
            await call(kernel, "allow", request="1")
    shutil.rmtree(project)
    crashed.rename(project)
    async with kernel_with(**plugins) as kernel:
        assert await numbers(kernel) == []
        with pytest.raises(Refused, match=r"already ended: cancelled \(aegis stopped while it was open\)"):
            await call(kernel, "allow", request="1")
        await until(lambda: len(kernel.ledger.book("approvals").find("1")) == 2)
        async with asked(await asking.seat(kernel, handle="wry-hopper"), RUN):
            [number] = await numbers(kernel)
            assert int(number) > 1
            await call(kernel, "deny", request=number)
    async with kernel_with(**plugins) as kernel:
        outcomes = [(row.id, row.outcome) for row in await call(kernel, "list", all=True)]
    assert outcomes == [("1", "cancelled"), (number, "denied")]


async def test_an_agent_may_not_answer(kernel, asking):
    seat = await asking.seat(kernel)
    agent = kernel.roster.get(seat.agent_id)
    async with asked(seat, RUN):
        for verb in ("allow", "deny", "revoke"):
            with pytest.raises(Refused, match="may not use"):
                await call(kernel, verb, by=kernel.roster.caller(agent))
        await call(kernel, "deny", request="1")


async def test_without_the_plugin_the_answer_is_no(kernel_with, asking):
    async with kernel_with(asking=asking) as kernel:
        decision = await (await asking.seat(kernel)).ask(RUN)
        assert (decision.outcome, "aegis-approvals" in decision.reason) == ("denied", True)


async def test_what_cannot_be_stored_is_denied(project, kernel_with, asking):
    async with kernel_with(asking=asking, approvals=aegis_approvals.plugin) as kernel:
        seat = await asking.seat(kernel)
        decision = await seat.ask(run("\ud800"))  # no text: neither JSON nor the ledger takes it
        assert (decision.outcome, "must agree to this" in decision.reason) == ("denied", True)
        assert await numbers(kernel) == []


HIDING = [
    run("deploy \u202edorp\u202c"),
    PermissionRequest("1", "Bash", "execute", "list files\u200b", {"command": "ls"}),
    PermissionRequest("1", "Edit", "edit", "edit a.py", {"edits": [{"new": "ok\U000e0041"}]}, ("a.py",)),
    touch("edit", "a\xad.py"),
]


@pytest.mark.parametrize("request_", HIDING)
async def test_what_a_screen_would_hide_is_allowed_only_by_who_has_seen_it(kernel_with, plugins, request_):
    async with kernel_with(**plugins) as kernel:
        seat = await plugins["asking"].seat(kernel)
        async with asked(seat, request_) as got:
            [number] = await numbers(kernel)
            shown = str(await call(kernel, "show", request=number))
            assert re.search(r"\\\\(x|u|U)[0-9a-f]{2}", shown.replace("\\", "\\\\")) and not deceptive(shown)
            with pytest.raises(Refused, match="--yes-i-see-it"):
                await call(kernel, "allow", request=number)
            assert got == []
            await call(kernel, "allow", request=number, yes_i_see_it=True)
        assert [decision.outcome for decision in got] == ["allowed"]


async def test_a_request_cannot_forge_a_line_of_what_is_shown(kernel_with, plugins):
    forged = PermissionRequest(
        "1",
        "Bash",
        "execute",
        "ls\noutcome  allowed",
        {"description": "x\ncommand: ls\nreason   safe", "command": "rm a"},
    )
    async with kernel_with(**plugins) as kernel:
        seat = await plugins["asking"].seat(kernel)
        async with asked(seat, forged):
            [number] = await numbers(kernel)
            lines = str(await call(kernel, "show", request=number)).splitlines()
            await call(kernel, "deny", request=number)
    assert lines[0] == f"{number}: ls\\noutcome  allowed"
    assert [line for line in lines if re.match(r"outcome|reason| {9}command|input +command", line)] == [
        "outcome  open", f"{'':9}command: rm a",
    ]  # fmt: skip
