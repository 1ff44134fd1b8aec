"""Real processes: 500 tasks on eight workers, and a kernel that is killed ten times in the middle of it.

Another seed: `AEGIS_SEED=123 pytest tests/acceptance/test_queue_kills.py`.
"""

import json
import os
import random
import re
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from aegis.errors import AegisError
from aegis.project import Project
from aegis_cli.blocking_client import BlockingClient

TASKS, KILLS = 500, 10
SEED = int(os.environ.get("AEGIS_SEED", random.SystemRandom().randrange(10**6)))
SCRIPT = [
    {"when": "number [0-9]*7$", "once": True, "do": [{"say": "let me see"}, {"crash": "SIGKILL"}]},
    {"when": "number [0-9]*5$", "do": [{"fail": "the model gave up"}]},
    {"do": [{"wait": 0.1}, {"say": "done: {body}"}]},
]
ENDS = ("completed", "failed", "cancelled")


def records(root: Path, where: str) -> list[tuple[str, str, dict]]:
    """Return kind, key and data of what is stored in a project, whoever runs there."""
    with closing(sqlite3.connect(f"{(Project(root).state / 'ledger.db').as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute(f"select kind, key, data from records where {where} order by seq")
        return [(kind, key, json.loads(data)) for kind, key, data in rows]


def ended(root: Path) -> int:
    return len(records(root, f"book = 'queue' and kind in {ENDS}"))


def until_ended(aegis, number: int) -> None:
    """Return once so many tasks have ended; on a slow machine that takes long, but there is always a next one."""
    while (before := ended(aegis.root)) < number:
        aegis.eventually(lambda before=before: ended(aegis.root) > before, f"an end after {before} of {number}")


def hand_over(root: Path, first: int, last: int) -> int:
    """Hand over the tasks of these numbers; one that was handed over before is known by its key."""
    with BlockingClient(Project(root)) as client:
        for number in range(first, last):
            client.perform("enqueue", {"queue": "many", "payload": f"number {number}", "key": f"n{number}"})
    return last


@pytest.mark.timeout(900)
def test_five_hundred_tasks_survive_ten_kills(aegis, record_property):
    dice, began = random.Random(SEED), time.monotonic()
    script = aegis.root / "script.json"
    script.write_text(json.dumps(SCRIPT))
    command = [sys.executable, "-m", "aegis_claude.testing", "--script", str(script)]
    (aegis.root / ".aegis.yaml").write_text(
        f"agents:\n  fake: {{provider: claude-code, command: {json.dumps(command)}}}\n"
        "queues:\n  many: {agent: fake, max_parallel: 8, retries: 3, backoff: 0.1, retry_on: [interrupted]}\n"
    )
    known = 0
    for when in sorted(dice.sample(range(TASKS * 9 // 10), KILLS)):
        server = aegis.start("serve")
        try:
            if dice.random() < 0.8:  # else in the middle of its start
                aegis.wait_for_line(server, "aegis runs in")
                try:
                    known = hand_over(aegis.root, known, min(TASKS, when + 60))
                except AegisError:
                    assert server.poll() is not None
                until_ended(aegis, when)
            time.sleep(dice.random() / 5)
        finally:
            server.kill()
            aegis.end(server)
    with aegis.serving():
        hand_over(aegis.root, known, TASKS)
        until_ended(aegis, TASKS)
        most = max(row["running"] for row in aegis.json("queue", "list"))
        pages = [aegis.says("message", "inbox")]
        while "task#" in pages[-1]:
            pages.append(aegis.says("message", "inbox"))
        inbox = "".join(pages)
    took = time.monotonic() - began
    record_property("seconds", round(took, 1))

    fates = Counter(key for _, key, _ in records(aegis.root, f"book = 'queue' and kind in {ENDS}"))
    assert len(fates) == TASKS
    assert set(fates.values()) == {1}, "a task has more than one end"
    callbacks = [
        d["task_id"] for _, _, d in records(aegis.root, "book = 'mail' and kind = 'accepted'") if d.get("status")
    ]
    assert Counter(callbacks) == fates, "each task is told of exactly once"
    assert Counter(re.findall(r"task#(\w+) · (?:ok|error) ·", inbox)) == fates, "and each of that was read"
    outcomes = Counter((kind, d["outcome"]) for kind, _, d in records(aegis.root, f"book = 'queue' and kind in {ENDS}"))
    attempts = [d["attempt"] for _, _, d in records(aegis.root, f"book = 'queue' and kind in {ENDS}")]
    print(f"seed {SEED}: {took:.0f} s, {dict(outcomes)}, {sum(attempts)} attempts")
    assert outcomes["completed", "ok"] > TASKS * 0.7
    assert outcomes["failed", "error"] > 50
    assert most <= 8
    assert aegis.left() == []
