"""Work is handed to a queue, from the shell and by an agent over the plane; who handed it over is told its end."""

import json
import signal

import pytest

CONFIG = r"""
agents:
  worker:
    provider: scripted
    script:
      - when: slow
        do: [{wait: {file: go}}, {say: "at last"}]
      - when: 'bad(?! once)'
        do: [{say: "I tried"}, {fail: "the model gave up"}]
      - when: 'flaky'
        do: [{say: "I tried {body}"}, {fail: "the model gave up"}]
      - when: ponder
        do: [{say: "I had found it"}, {never_end: true}]
      - when: count
        do:
          - call: aegis_report
            args: {result: {bugs: 3}, artefacts: [bugs.md]}
          - say: "that was easy"
      - do: [{say: "Looked at: {body}"}]
  lead:
    provider: scripted
    script:
      - when: 'delegate (?P<what>.+)'
        do:
          - call: aegis_enqueue
            args: {queue: review, payload: "{what}"}
            save_as: answer
          - say: "{answer}"
      - when: 'task#(?P<task>\w+) · ok'
        do:
          - call: aegis_task_status
            args: {task_id: "{task}"}
            save_as: status
          - say: "{status}"
queues:
  review: {agent: worker, max_parallel: 2}
  night: {agent: worker}
  again: {agent: worker, retries: 1, backoff: 3600}
"""


@pytest.fixture(scope="module")
def queues(built):
    aegis = built("queues")
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    with aegis.serving():
        yield aegis


def put(aegis, *words):
    return aegis.json("enqueue", *words)["task_id"]


def test_a_task_from_the_shell_to_its_result_and_the_letter_home(queues):
    said = queues.says("enqueue", "review", "Review the branch")
    task = said.split()[1]
    assert said == f"task {task} in review: begins now"
    assert queues.says("task", "wait", task[-6:].lower()) == "Looked at: Review the branch"
    assert queues.json("task", "show", task)["outcome"] == "ok"
    queues.eventually(lambda: f"task#{task} · ok · " in queues.says("message", "inbox", "--keep"), "a letter")
    log = queues.says("task", "logs", task)
    assert "Review the branch" in log and "-- turn completed" in log, "the worker is gone, what it did is not"
    assert "review" in queues.says("__complete", "enqueue", "").splitlines()
    assert task in queues.says("__complete", "task", "show", "").splitlines()


def test_a_result_that_was_handed_in_over_the_plane(queues):
    schema = json.dumps({"type": "object", "required": ["bugs"]})
    task = put(queues, "review", "count the bugs", "--result-schema", schema)
    assert json.loads(queues.says("task", "wait", task)) == {"bugs": 3}
    assert queues.json("task", "show", task)["artefacts"] == ["bugs.md"]


def test_what_fails_is_a_dead_letter_that_can_be_tried_again(queues):
    task = put(queues, "review", "bad")
    assert queues.refuses("task", "wait", task, code=1) == f"task {task} error: the model gave up"
    rows = {row["id"]: row for row in queues.json("task", "list")}
    assert (rows[task]["status"], rows[task]["outcome"]) == ("failed", "error")
    assert queues.says("task", "retry", task) == f"task {task} in review: begins now"
    assert queues.refuses("task", "wait", task, code=1) == f"task {task} error: the model gave up"
    assert queues.refuses("task", "cancel", task, code=3) == f"task {task} has ended already: error"


def test_what_the_attempt_before_did_can_be_read_while_the_next_one_waits(queues):
    task = put(queues, "again", "flaky")
    queues.eventually(lambda: queues.json("task", "show", task)["error"], "the end of the first attempt")
    status = queues.json("task", "show", task)
    assert (status["status"], status["error"]) == ("pending", "attempt 1 error: the model gave up")
    assert "I tried flaky" in queues.says("task", "logs", task)
    assert queues.says("task", "cancel", task) == f"task {task} is cancelled"


def test_order_and_control_from_the_shell(queues):
    slow = put(queues, "night", "slow")
    queues.eventually(lambda: queues.json("task", "show", slow)["status"] == "running", "a worker")
    assert queues.json("enqueue", "night", "second")["queued_position"] == 1
    first = put(queues, "night", "first", "--priority", "5")
    last = put(queues, "night", "last", "--after", slow, "--delay", "3600")
    shown = queues.says("queue", "show", "night")
    assert shown.startswith("night: open, worker, at most 1 at once\n3 pending, 1 running")
    assert queues.json("queue", "show", "night")["pending"][0]["id"] == first
    assert queues.says("task", "cancel", last) == f"task {last} is cancelled"
    with queues.start("queue", "drain", "night") as draining:
        queues.eventually(lambda: queues.json("queue", "show", "night")["queue"]["mode"] == "draining", "the drain")
        said = queues.refuses("enqueue", "night", "too late", code=3)
        assert said == "night is being drained and takes no task; `aegis queue resume night` opens it again"
        (queues.root / "go").touch()
        assert draining.wait(30) == 0
        assert "night is empty" in draining.stdout.read()
    assert queues.says("queue", "resume", "night") == "night is open; 0 tasks wait"
    assert queues.says("queue", "pause", "night") == "night is paused; 0 of its tasks go on"
    waits = put(queues, "night", "later")
    assert queues.json("task", "show", waits)["held"] == "night is paused"
    with queues.start("task", "wait", waits) as waiting:
        waiting.send_signal(signal.SIGINT)
        waiting.wait(10)
    assert queues.json("task", "show", waits)["status"] == "pending", "who stops waiting stops nothing else"
    queues.run("queue", "resume", "night")
    assert queues.says("task", "wait", waits) == "Looked at: later"


def test_the_log_of_a_queue_is_lines_for_grep(queues):
    """In the form that scripts know: `queues/<queue>.jsonl`."""
    task, failed = put(queues, "review", "look"), put(queues, "review", "bad luck", "--no-callback")
    for one in (task, failed):
        queues.eventually(lambda one=one: queues.json("task", "show", one)["completed_at"], "its end")
    path = queues.root / ".aegis" / "state" / "queues" / "review.jsonl"

    def of(task_id):
        lines = map(json.loads, path.read_text().splitlines())
        return [line for line in lines if line["event"] != "control" and line.get("task_id") == task_id]

    queues.eventually(lambda: len(of(task)) == 4, "its last line")
    lines = of(task)
    assert [line["event"] for line in lines] == ["enqueued", "dispatched", "completed", "callback_attempted"]
    assert {(line["v"], line["queue"]) for line in lines} == {(1, "review")}
    enqueued, dispatched, completed, called = lines
    person = queues.json("task", "show", task)["enqueued_by"]
    assert (enqueued["payload"], enqueued["enqueued_by"], enqueued["callback"]) == ("look", person, True)
    assert enqueued["enqueued_at"].endswith("Z")
    assert dispatched["worker_handle"] == f"review-{task[-4:].lower()}"
    assert (completed["result"], completed["error"], completed["cost"]) == ("Looked at: look", "", {"usd": "0.000000"})
    assert completed["completed_at"].endswith("Z")
    assert (called["outcome"], called["callback_to"]) == ("accepted", person)
    queues.eventually(lambda: len(of(failed)) == 3, "its last line")
    assert [line["event"] for line in of(failed)] == ["enqueued", "dispatched", "failed"], "nobody is to be told"
    assert (of(failed)[0]["callback"], of(failed)[2]["error"]) == (False, "the model gave up")


def test_killed_in_the_middle_the_last_words_are_still_told(aegis):
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    server = aegis.start("serve")
    try:
        aegis.wait_for_line(server, "aegis runs in")
        task = put(aegis, "night", "ponder")
        aegis.eventually(lambda: aegis.json("task", "show", task)["worker"], "a worker")
        aegis.eventually(lambda: "I had found" in aegis.says("task", "logs", task), "a word")
    finally:
        server.kill()
        aegis.end(server)
    with aegis.serving():
        aegis.eventually(lambda: "task#" in aegis.says("message", "inbox", "--keep"), "a letter")
        [header, _, *body] = aegis.says("message", "inbox").splitlines()
    assert f"queue:night · task#{task} · error · " in header
    assert body == ["", "Its last words:", "I had found it"]


def test_an_agent_hands_over_is_woken_and_asks_over_the_plane(queues):
    queues.run("spawn", "lead", "--handle", "ada")
    said = queues.says("send", "ada", "delegate look at this", "--wait")
    task = said.split()[1]
    assert said == f"task {task} in review: begins now"
    queues.eventually(lambda: queues.json("sessions")[0]["turns"] == 2, "the callback's turn")
    heard = queues.says("read", "ada", "--turns", "1")
    assert heard.startswith(f"> from queue:review · task#{task} · ok · ")
    assert heard.count("Looked at: look at this") == 3, "as it was told, as it is when it is asked for, and as a result"
    status = queues.json("task", "show", task)
    assert (status["enqueued_by"], status["outcome"]) == ("agent:ada", "ok")
    queues.run("close", "ada")


def test_what_is_not_there_is_a_sentence(queues):
    assert "there is no queue 'reviw' (queues: again, night, review). Did you mean 'review'?" in queues.refuses(
        "enqueue", "reviw", "x", code=4
    )
    assert queues.refuses("task", "show", "nope", code=4).startswith("there is no task 'nope'; `aegis task list` shows")
