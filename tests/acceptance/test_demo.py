"""`aegis demo`: the main job, on a machine with no agent CLI, no account and no network."""

import json
import re
import shutil
import signal
from pathlib import Path


def test_the_story_is_told_to_its_end(aegis):
    said = aegis.says("demo", "--plain")
    mail = re.findall(r"^✉ from agent:(\w+) · \d\d:\d\d:\d\dZ → (\w+)", said, re.MULTILINE)
    assert mail == [
        ("planner", "builder"), ("builder", "reviewer"), ("reviewer", "builder"), ("builder", "reviewer"),
        ("reviewer", "planner"), ("planner", "human"),
    ]  # fmt: skip
    assert re.match(r"human:\S+ → planner: Our café needs to split bills", said)
    assert "planner: Yes. The plan:" in said
    assert "reviewer · shell" in said
    assert "check.py says no (exit code 1)" in said, "the check really ran, and really failed"
    assert "check.py passes (exit code 0)" in said
    assert not list(aegis.root.iterdir()), "it plays in a folder of its own"


def test_the_folder_is_kept_when_asked_for(aegis):
    done = aegis.run("demo", "--plain", "--keep")
    folder = Path(done.stderr.removeprefix("aegis: the demo's folder is ").strip())
    try:
        assert "divmod" in (folder / "split.py").read_text()
        assert sorted(p.name for p in folder.glob("*.py")) == ["check.py", "split.py"]
    finally:
        shutil.rmtree(folder)


def test_a_demo_that_is_left_early_leaves_nothing(aegis):
    for _ in range(5):  # on a loaded machine the story may be told before the signal comes
        with aegis.start("demo", "--plain", text=False) as demo:
            demo.stdout.readline()
            demo.send_signal(signal.SIGINT)
            demo.communicate()
        if demo.returncode:
            break
    assert demo.returncode == 130
    assert aegis.left() == []


def test_without_its_agents_it_says_what_is_missing(aegis):
    aegis.environment["AEGIS_PLUGINS"] = "cli,inbox"
    assert "there is no provider 'scripted'" in aegis.run("demo", "--plain", code=4).stderr
    assert json.loads(aegis.run("--json", "demo", code=4).stdout)["error"]["type"] == "NotFound"
