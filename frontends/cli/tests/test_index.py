"""The index of what is installed is exact: any change makes it invalid, and nothing else does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aegis_cli.index import Index, sources

LONG_AGO = 1_600_000_000


class Built:
    """Builds an index and counts how often."""

    def __init__(self, *watched):
        self.times, self.watched = 0, watched

    def __call__(self):
        self.times += 1
        return {"plugins": [], "verbs": [{"name": f"v{self.times}"}], "failed": {}, "sources": list(self.watched)}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A search path of one folder that has been at rest for long."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    os.utime(folder, (LONG_AGO, LONG_AGO))
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def load(tmp_path, built):
    """Return what a fresh process would load."""
    return Index(built, tmp_path / "cache").load()


def test_it_is_built_once(tmp_path, path):
    built = Built()
    assert [load(tmp_path, built)["verbs"] for _ in range(3)] == [[{"name": "v1"}]] * 3
    assert built.times == 1


@pytest.mark.parametrize("happens", ["install", "uninstall", "search path", "narrowing", "damage", "format"])
def test_it_is_built_again_when(happens, tmp_path, path, monkeypatch):
    dist = path / "acme_dice-1.0.dist-info"
    if happens == "uninstall":
        dist.mkdir()
        os.utime(path, (LONG_AGO, LONG_AGO))
    built = Built()
    load(tmp_path, built)
    [file] = (tmp_path / "cache").iterdir()
    match happens:
        case "install":
            dist.mkdir()
        case "uninstall":
            dist.rmdir()
        case "search path":
            monkeypatch.setattr(sys, "path", [str(path), str(tmp_path)])
        case "narrowing":
            monkeypatch.setenv("AEGIS_PLUGINS", "inbox")
        case "damage":
            file.write_text(file.read_text()[:-9])
        case "format":
            file.write_text(json.dumps({"format": 0}))
    load(tmp_path, built)
    assert built.times == 2


def test_a_change_within_the_same_tick_of_a_coarse_clock_is_seen(tmp_path, path):
    """What was installed a moment ago may be joined by more without another mtime: such an index is not kept."""
    built = Built()
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    load(tmp_path, built)
    (path / "more").mkdir()
    os.utime(path, ns=(now, now))
    load(tmp_path, built)
    assert built.times == 2


def test_editing_an_editable_plugin_makes_it_invalid(tmp_path, path):
    package = tmp_path / "src" / "acme"
    package.mkdir(parents=True)
    module = package / "plugin.py"
    module.write_text("")
    watched = sources([package, path / "installed"])
    assert watched == [str(package), str(module)]
    for file in (package, module):
        os.utime(file, (LONG_AGO, LONG_AGO))
    built = Built(*watched)
    load(tmp_path, built)
    load(tmp_path, built)
    assert built.times == 1
    os.utime(module, (LONG_AGO + 1, LONG_AGO + 1))
    load(tmp_path, built)
    assert built.times == 2


def test_a_cache_folder_that_cannot_be_written_costs_only_time(tmp_path, path):
    (tmp_path / "cache").write_text("a file, where the folder should be")
    built = Built()
    assert load(tmp_path, built)["verbs"] == [{"name": "v1"}]
    assert load(tmp_path, built)["verbs"] == [{"name": "v2"}]


def test_the_real_index_knows_plugins_and_verbs(tmp_path):
    code = (
        "import json; from aegis_cli.index import Index; from aegis_cli.build_index import build;"
        "print(json.dumps(Index(build).load()))"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    index = json.loads(said.stdout)
    names = {row["name"]: row for row in index["plugins"]}
    assert names["cli"]["value"] == "aegis_cli.plugin"
    assert names["cli"]["distribution"] == "aegis-cli"
    verbs = {verb["name"]: verb for verb in index["verbs"]}
    assert verbs["send"]["positional"] == ["handle", "text"]
    assert index["failed"] == {}
    assert str(Path(sys.modules["aegis_cli"].__file__).parent / "main.py") in dict(index["sources"])
