"""What no tracked file may say: whence packages are downloaded, and where one machine keeps its files."""

import re
import subprocess
import tomllib

import pytest
from workspace import ROOT

# written in pieces, so that this file passes its own test; ada and anna are nobody, in recordings
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian",
]
PATHS = [
    "/" + "work/",
    "/" + "root/",
    "/" + r"home/(?!(?:ada|anna)\b)[a-z]",
    "/" + "Users/[A-Za-z]",
    "/" + "tmp/brief",
    "/" + "opt/py",
]
BANNED = re.compile("|".join([*map(re.escape, HOSTS), *(rf"(?<![\w.-]){path}" for path in PATHS)]))
FRAGMENT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(\w+)\.md")


@pytest.fixture(scope="module")
def texts():
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    git = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if git.returncode:
        pytest.skip("this is no git checkout, so what is tracked cannot be told")
    found = {}
    for name in git.stdout.splitlines():
        if (path := ROOT / name).is_file():
            found[name] = path.read_bytes().decode(errors="replace")
    return found


def test_nothing_names_a_registry_host_or_a_machines_path(texts):
    said = {f"{name}: {hit.group()}" for name, text in texts.items() for hit in BANNED.finditer(text)}
    assert said == set()


def test_changelog_fragments_are_named_after_their_change():
    types = {t["directory"] for t in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]}
    names = [p.name for p in (ROOT / "changelog.d").iterdir() if p.name != "README.md"]
    wrong = [n for n in names if not (match := FRAGMENT.fullmatch(n)) or match.group(2) not in types]
    assert wrong == [], f"<slug>.<type>.md, where the type is one of {sorted(types)}"
