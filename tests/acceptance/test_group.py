"""Groups as agents and people have them: over the plane with the names of the tools, from the shell, under budgets."""

import json

import pytest

CONFIG = r"""
plugins: {mcp: {ticket_after: 0.3}}
agents:
  quick:
    provider: scripted
    script:
      - do: [{say: "fine"}, {usage: {input: 10, output: 2, cost: 0.25}}]
  slow:
    provider: scripted
    script:
      - do: [{wait: {file: go}}, {say: "fine, too"}]
  dear:
    provider: scripted
    script:
      - do: [{say: "too dear"}, {usage: {input: 10, output: 2, cost: 3}}]
  lead:
    provider: scripted
    spawns: [quick, slow]
    script:
      - when: 'begin'
        do:
          - call: aegis_group_spawn_mixed
            args: {name: audit, from_handle: lead, profiles: [quick, slow]}
          - call: aegis_group_broadcast
            args: {name: audit, objective: look, output_format: words, tool_guidance: none, boundaries: report only}
          - call: aegis_group_wait_all
            args: {name: audit, reducer: join_by_handle}
            save_as: answer
          - say: "{answer}"
      - when: 'task#'
        do:
          - call: aegis_group_wait_all
            args: {group: audit, reducer: join_by_handle}
            save_as: again
          - say: "MAIL {body} AGAIN {again}"
budgets:
  profiles:
    dear: [{usd: 1, window: 1d}]
"""


@pytest.fixture(scope="module")
def groups(built):
    aegis = built("groups")
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    with aegis.serving():
        yield aegis


def test_a_wait_that_outlasts_a_call_comes_as_mail_with_the_same_result(groups):
    groups.run("spawn", "lead", "--handle", "lead")
    said = groups.says("send", "lead", "begin", "--wait")
    assert "ticket" in said and "do not wait" in said
    (groups.root / "go").touch()
    groups.eventually(lambda: "AGAIN" in groups.says("read", "lead"), "the mail with the result")
    mail, _, again = groups.says("read", "lead").partition("MAIL ")[2].partition(" AGAIN ")
    assert again.partition("\n\n-- turn")[0].strip() in mail, "the mail says what the call returns"
    result = groups.json("group", "wait-all", "audit", "--reducer", "join_by_handle")
    assert result["reduced"] == result["combined"] == {"quick": "fine", "slow": "fine, too"}
    assert json.dumps(result["reduced"], separators=(",", ":")) in mail
    quick = result["by_member"]["quick"]
    assert (quick["status"], quick["tokens_out"], quick["cost_usd"]) == ("done", 2, 0.25)
    groups.run("group", "dissolve", "audit")
    assert [row["handle"] for row in groups.json("sessions")] == ["lead"]


def test_a_budget_holds_for_members_and_what_asking_may_cost_is_shown(groups):
    groups.run("group", "spawn-mixed", "board", "quick", "dear")
    groups.run("group", "broadcast", "board", "first")
    groups.run("group", "wait-all", "board")
    assert groups.json("group", "status", "board")["expected_cost_usd"] == 3.25
    assert "may cost about $3.25" in groups.says("group", "broadcast", "board", "second")
    result = groups.json_of("group", "wait-all", "board", code=1)
    assert result["by_member"]["quick"]["status"] == "done"
    assert result["by_member"]["dear"]["status"] == "errored"
    assert "budget" in result["errors"]["dear"]
    with_judge = groups.json_of("group", "wait-all", "board", "--reducer", "judge:quick", code=1)
    assert (with_judge["reduced"], with_judge["metadata"]["judge_cost_usd"]) == ("fine", 0.25)
