"""What the page of the providers says is what the live tests would find now: one that came or went is seen at once."""

import json
import subprocess
import sys

import matrix
from workspace import ROOT


def test_the_providers_page_names_the_tests_that_prove_it(tmp_path):
    file, known = tmp_path / "proofs.json", matrix.load()
    command = [sys.executable, "-m", "pytest", "tests/live", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "--proofs", file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    versions = {name: {key: known[name][key] for key in ("cli", "version", "driver")} for name in known}
    now = {name: versions.get(name, {}) | found[name] for name in found}
    assert list(matrix.differences(known, now)) == [], "run `make matrix`, and commit what it writes if it is meant"
