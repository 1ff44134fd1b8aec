"""What is written in `schedules` is done when it is due, and each policy holds."""

from __future__ import annotations

import json

import pytest
import trio
from schedule_stage import ANNA

from aegis import Caller, Refused

pytestmark = pytest.mark.usefixtures("autojump")
HOUR, DAY = 3_600, 86_400  # the clock begins on 2026-01-05, a Monday, at 10:00 UTC


async def test_a_cron_line_is_followed(stage) -> None:
    stage.write(nightly={"cron": "30 22 * * *"}, often={"cron": "*/20 10-11 * * *", "args": {"text": "x"}})
    async with stage.open():
        await trio.sleep(DAY)
        assert [when for text, when in stage.work.done if not text] == ["01-05 22:30"]
        often = [when for text, when in stage.work.done if text]
        assert often == ["01-05 10:20", "01-05 10:40", "01-05 11:00", "01-05 11:20", "01-05 11:40", "01-06 10:00"]


async def test_it_is_always_there(stage) -> None:
    async with stage.open():
        await trio.sleep(HOUR)
        await stage.reload(late={"cron": "0 * * * *"})
        await trio.sleep(HOUR + 60)
        assert stage.work.times == ["01-05 12:00"]


async def test_a_time_comes_once(stage) -> None:
    stage.write(once={"fire_at": "2026-01-05T12:30:00"})
    for _ in range(3):
        async with stage.open():
            await trio.sleep(3 * HOUR)
    assert stage.work.times == ["01-05 12:30"]
    async with stage.open():
        await stage.reload(once={"fire_at": "2026-01-06T08:00:00"})
        await trio.sleep(DAY)
    assert stage.work.times == ["01-05 12:30", "01-06 08:00"]


async def test_lifecycles_end(stage) -> None:
    lives = {"once": "once", "twice": {"fires": 2}, "today": {"until": "2026-01-05T14:00:00Z"}, "ever": "forever"}
    stage.write(**{n: {"cron": "0 * * * *", "lifecycle": life, "args": {"text": n}} for n, life in lives.items()})
    async with stage.open():
        await trio.sleep(3 * HOUR)
    async with stage.open():
        await trio.sleep(3 * HOUR)
        done = [text for text, _ in stage.work.done]
        assert {name: done.count(name) for name in lives} == {"once": 1, "twice": 2, "today": 4, "ever": 6}
        rows = {row.name: row.state for row in await stage.call("list")}
        assert rows["once"] == "it has begun once"
        assert "ended at 2026-01-05T14:00:00Z" in rows["today"]


@pytest.mark.parametrize(
    ("overlap", "begun", "ended"), [("skip", 2, 2), ("queue", 4, 4), ("kill", 4, 1)], ids=["skip", "queue", "kill"]
)
async def test_overlap(stage, overlap: str, begun: int, ended: int) -> None:
    life = {"until": "2026-01-05T10:04:30Z"}
    entry = {"cron": "* * * * *", "on_overlap": overlap, "lifecycle": life, "args": {"text": "x", "seconds": 100}}
    stage.write(slow=entry)
    async with stage.open():
        await trio.sleep(HOUR)
        assert (len(stage.work.done), len(stage.work.ended)) == (begun, ended)
        logs = await stage.logs("slow")
        assert logs.count("skipped overlap") == (2 if overlap == "skip" else 0)
        assert logs.count("failed:killed") == (3 if overlap == "kill" else 0)
        assert logs.count("ok") == ended


@pytest.mark.parametrize(("policy", "begun"), [("skip", 0), ("once", 1), ("all", 3)])
async def test_what_was_missed(stage, policy: str, begun: int) -> None:
    stage.write(hourly={"cron": "0 * * * *", "on_missed": policy})
    async with stage.open():
        await stage.call("list")
    stage.clock.jump(3 * HOUR + 1_800)
    async with stage.open():
        await trio.sleep(60)
        assert stage.work.times == ["01-05 13:30", "01-05 13:30", "01-05 13:30"][:begun]
        row = [r for r in stage.kernel.ledger.book("schedule").find("hourly") if r.kind == "skipped"]
        assert [(r.data["reason"], r.data["count"]) for r in row] == ([("missed", 3 - begun)] if begun < 3 else [])
        await trio.sleep(1_800)
        assert stage.work.times[-1] == "01-05 14:00"


async def test_a_computer_that_slept_does_what_the_policy_says(stage) -> None:
    stage.write(skip={"cron": "0 * * * *"}, once={"cron": "0 * * * *", "on_missed": "once", "args": {"text": "once"}})
    async with stage.open():
        await trio.sleep(60)
        stage.clock.jump(5 * HOUR + 1_800)  # nothing ran meanwhile
        await trio.sleep(60)
        assert [text for text, _ in stage.work.done] == ["once"]


async def test_a_time_that_passed_while_nothing_ran_is_made_up_for_once(stage) -> None:
    stage.write(at={"fire_at": "2026-01-05T11:00"}, never={"fire_at": "2026-01-05T11:00", "on_missed": "skip"})
    async with stage.open():
        await stage.call("list")
    stage.clock.jump(5 * HOUR)
    for _ in range(2):
        async with stage.open():
            await trio.sleep(60)
    assert len(stage.work.done) == 1


async def test_an_old_time_in_a_project_that_is_new_here_is_not_made_up_for(stage) -> None:
    stage.write(old={"fire_at": "2025-03-01T11:00"}, fresh={"fire_at": "2026-01-05T09:00", "args": {"text": "fresh"}})
    async with stage.open():
        await trio.sleep(HOUR)
    assert [text for text, _ in stage.work.done] == ["fresh"]


async def test_disabled_is_silent_and_enabled_goes_on_from_now(stage) -> None:
    stage.write(hourly={"cron": "0 * * * *", "on_missed": "all", "enabled": False})
    async with stage.open():
        await trio.sleep(4 * HOUR)
        assert not stage.work.done
        await stage.reload(hourly={"cron": "0 * * * *", "on_missed": "all"})
        await trio.sleep(HOUR)
        assert stage.work.times == ["01-05 15:00"]


async def test_a_change_of_one_leaves_the_state_of_others(stage) -> None:
    stage.write(one={"cron": "0 * * * *", "lifecycle": {"fires": 3}}, two={"cron": "0 * * * *"})
    async with stage.open():
        await trio.sleep(2 * HOUR + 60)
        await stage.reload(one={"cron": "0 * * * *", "lifecycle": {"fires": 3}}, two={"cron": "30 * * * *"})
        await trio.sleep(4 * HOUR)
        rows = {row.name: row.fire_count for row in await stage.call("list")}
        assert rows == {"one": 3, "two": 6}


async def test_what_is_taken_out_begins_no_more(stage) -> None:
    stage.write(gone={"cron": "0 * * * *"})
    async with stage.open():
        await trio.sleep(HOUR)
        await stage.reload()
        await trio.sleep(3 * HOUR)
        assert len(stage.work.done) == 1
        assert await stage.call("list") == []


async def test_how_it_ended_is_on_record(stage) -> None:
    stage.write(
        good={"cron": "0 * * * *", "args": {"text": "it"}},
        refused={"cron": "0 * * * *", "args": {"fail": "not today"}},
        crashed={"cron": "0 * * * *", "args": {"fail": "crash"}},
        slow={"cron": "0 * * * *", "args": {"seconds": 500}, "timeout": 30},
        nothing={"cron": "0 * * * *", "verb": "no such"},
    )
    async with stage.open():
        await trio.sleep(HOUR + 60)
        sheets = {row.name: await stage.call("show", name=row.name) for row in await stage.call("list")}
        assert {name: sheet.last_status for name, sheet in sheets.items()} == {
            "good": "ok", "refused": "failed:refused", "crashed": "failed:crash", "slow": "failed:timeout",
            "nothing": "failed:refused",
        }  # fmt: skip
        assert sheets["refused"].last_error == "not today"
        assert "took longer than 30 s" in sheets["slow"].last_error
        assert "there is no verb 'no such'" in sheets["nothing"].last_error
        assert "did it" in await stage.call("logs", name="good")


async def test_a_person_hears_of_what_failed(stage) -> None:
    bad = {"cron": "0 * * * *", "args": {"fail": "not today"}, "lifecycle": "once"}
    quiet = {"on_failure": False}
    stage.write(bad=bad, quiet={**bad, "notify": quiet}, good={**bad, "args": {}, "notify": {"on_success": True}})
    async with stage.open() as kernel:
        await trio.sleep(HOUR + 60)
        letters = sorted((x.envelope.sender, x.envelope.body.splitlines()[0]) for x in kernel.post.letters())
        assert letters == [
            ("schedule:bad", "schedule bad (work do): failed:refused"),
            ("schedule:good", "schedule good (work do): ok"),
        ]


async def test_only_when_there_is_something_to_do(stage) -> None:
    stage.write(
        yes={"cron": "0 0 * * *", "when": "true", "args": {"text": "yes"}},
        no={"cron": "0 0 * * *", "when": "exit 3", "args": {"text": "no"}},
    )
    async with stage.open():
        for name in ("yes", "no"):
            await stage.call("run", name=name, wait=True)
        assert "skipped `exit 3` exited with 3" in await stage.logs("no")
        assert [text for text, _ in stage.work.done] == ["yes"]


async def test_jitter_comes_later_and_always_as_late(stage) -> None:
    stage.write(**{f"n{i}": {"cron": "0 * * * *", "jitter": 600, "args": {"text": f"n{i}"}} for i in range(20)})
    async with stage.open():
        await trio.sleep(2 * HOUR + 900)
        when = {
            name: sorted(t for text, t in stage.work.done if text == name) for name in {t for t, _ in stage.work.done}
        }
        assert all(len(times) == 2 and times[0][-2:] == times[1][-2:] for times in when.values())
        assert len({times[0] for times in when.values()}) > 5


async def test_by_hand(stage) -> None:
    stage.write(manual={"cron": "0 0 * * *", "enabled": False, "lifecycle": "once", "args": {"text": "x"}})
    async with stage.open():
        done = await stage.call("run", name="manual", wait=True)
        assert (done.status, done.result) == ("ok", "did x")
        assert (await stage.call("run", name="manual")).status == "running"
        assert str(stage.work.callers[0]) == "schedule:manual"
        assert stage.work.callers[0].principal == "human:anna"
        assert [c.at for c in await stage.call("next", name="manual")] == []


async def test_what_was_in_the_middle_is_closed_as_interrupted(stage) -> None:
    stage.write(long={"cron": "0 * * * *", "args": {"seconds": 10 * HOUR}})
    async with stage.open():
        await trio.sleep(HOUR + 60)
    async with stage.open() as kernel:
        await trio.sleep(1)
        assert (await stage.logs("long"))[-1] == "failed:interrupted"
        assert "aegis stopped in the middle of it" in kernel.post.letters()[0].envelope.body


async def test_what_waited_begins_after_a_restart(stage) -> None:
    entry = {"cron": "*/10 * * * *", "on_overlap": "queue", "lifecycle": {"fires": 2}}
    stage.write(queued={**entry, "args": {"seconds": 10 * HOUR}})
    async with stage.open():
        await trio.sleep(1_500)
    async with stage.open():
        await trio.sleep(60)
        assert len(stage.work.done) == 2


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({}, "either `cron` or `fire_at`"),
        ({"cron": "* * * * *", "fire_at": "2026-01-01T00:00"}, "not both"),
        ({"cron": "* * * * *", "workflow": "x"}, "not both"),
        ({"cron": "nonsense"}, "a cron line has five"),
        ({"cron": "* * * * *", "timezone": "Nowhere"}, "there is no time zone 'Nowhere'"),
        ({"fire_at": "soon"}, "'soon' is no time"),
        ({"cron": "* * * * *", "lifecycle": {"fires": 0}}, "fires"),
        ({"cron": "* * * * *", "lifecycle": {"until": "x"}}, "'x' is no time"),
        ({"cron": "* * * * *", "on_overlap": "wait"}, "on_overlap"),
        ({"cron": "* * * * *", "intervall": 3}, "intervall"),
    ],
)
async def test_a_wrong_entry_gets_a_sentence(stage, entry, says) -> None:
    async with stage.open() as kernel:
        with pytest.raises(Exception, match=r"schedules\.bad") as error:
            await stage.reload(bad={"verb": "work do", **entry})
        assert says in str(error.value)
        assert kernel.config.error
        with pytest.raises(Exception, match="this is no schedule") as error:
            await stage.call("validate", spec={"verb": "work do", **entry})
        assert says in str(error.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"cronn": "0 6 * * *"}, "cronn: there is no setting 'cronn' here (there are: args, cron"),
        ({"cronn": "0 6 * * *"}, "Did you mean 'cron'?"),
        ({"cron": "0 6 * * *", "notify": {"on_fail": True}}, "Did you mean 'on_failure'?"),
        ({"cron": "0 66 * * *"}, "no schedule: cron: '0 66 * * *' is no cron line"),
        ({"cron": "0 6 * * *", "on_overlap": "wait"}, "on_overlap: Input should be 'skip', 'queue' or 'kill'"),
    ],
)
async def test_an_entry_that_is_tried_gets_the_words_of_one_in_a_file(stage, entry, says) -> None:
    async with stage.open():
        with pytest.raises(Refused) as refusal:
            await stage.call("validate", spec={"verb": "work do", **entry})
        assert says in str(refusal.value)


async def test_next_says_what_will_be(stage) -> None:
    stage.write(berlin={"cron": "30 2 * * *", "timezone": "Europe/Berlin", "lifecycle": {"fires": 2}})
    async with stage.open():
        assert [c.local for c in await stage.call("next", name="berlin")] == [
            "2026-01-06 02:30 CET (Tue)",
            "2026-01-07 02:30 CET (Wed)",
        ]
        found = await stage.call("validate", spec={"verb": "work do", "cron": "0 0 1 1 *"}, by=ANNA)
        assert [c.at[:4] for c in found] == ["2027", "2028", "2029", "2030", "2031"]


async def test_switching_changes_one_word_of_the_file(stage) -> None:
    file = stage.project / ".aegis.yaml"
    text = "# mine\nschedules:\n  a:   # each hour\n    verb: work do\n    cron: '0 * * * *'\n    on_missed: all\n"
    file.write_text(text)
    async with stage.open():
        assert await stage.call("disable", name="a") == "a is disabled"
        assert file.read_text() == text + "    enabled: false\n"
        await trio.sleep(3 * HOUR)
        assert not stage.work.done
        assert await stage.call("enable", name="a") == "a is enabled: it begins next at 2026-01-05T14:00:00Z"
        assert file.read_text() == text + "    enabled: true\n"
        await trio.sleep(HOUR)
        assert stage.work.times == ["01-05 14:00"]


async def test_a_file_of_its_own_is_an_entry_and_is_switched_there(stage) -> None:
    file = stage.project / ".aegis" / "schedules" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("verb: work do\ncron: '@hourly'\n")
    async with stage.open():
        assert [row.source for row in await stage.call("list")] == [".aegis/schedules/own.yaml"]
        await stage.call("disable", name="own")
        assert file.read_text() == "verb: work do\ncron: '@hourly'\nenabled: false\n"


async def test_a_file_says_how_they_stand(stage) -> None:
    stage.write(hourly={"cron": "0 * * * *"})
    async with stage.open():
        await trio.sleep(HOUR + 60)
    found = json.loads((stage.project / ".aegis" / "state" / "schedules.snapshot.json").read_text())
    row = found["schedules"]["hourly"]
    assert (row["fire_count"], row["last_status"], row["next_fire"]) == (1, "ok", "2026-01-05T12:00:00+00:00")


async def test_an_agent_neither_switches_nor_begins_what_it_may_not(stage) -> None:
    stage.write(a={"cron": "0 0 * * *"})
    async with stage.open():
        reader = Caller("agent", "eve", agent_id="01M8PH6ZXPKTM27EM7SXGGGPB6")  # nobody knows it: it may only read
        for verb in ("enable", "disable", "run"):
            with pytest.raises(Refused):
                await stage.call(verb, by=reader, name="a")
        assert not stage.work.done
