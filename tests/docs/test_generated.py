"""What the pages repeat from the code is what the code says."""

import subprocess
import sys

from workspace import ROOT, members


def test_generated_pages_are_up_to_date():
    check = [sys.executable, str(ROOT / ".make" / "reference.py"), "--check"]
    answer = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_readme_lists_every_package():
    table = (ROOT / "README.md").read_text().partition("<!-- packages -->")[2].partition("<!-- /packages -->")[0]
    assert [m.distribution for m in members() if f"[{m.distribution}]({m.path}/README.md)" not in table] == []
