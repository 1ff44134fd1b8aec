"""What the pages show is true: links lead somewhere, YAML loads, Python runs."""

import os
import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML
from workspace import ROOT, members

FENCE = re.compile(r"^(?P<indent> *)```(?P<lang>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PYTHON = re.compile(r"^(from [\w.]+ import|import \w|@\w+|(async )?def \w+\(|class \w+[:(])", re.MULTILINE)
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def fenced(page, language):
    found = [m for m in FENCE.finditer(page.read_text()) if m["lang"] == language]
    return [re.sub(rf"^{m['indent']}", "", m["body"], flags=re.MULTILINE) for m in found]


def anchors(page):
    titles = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_lead_somewhere(page):
    broken = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_yaml_loads(page):
    for text in fenced(page, "yaml"):
        assert YAML(typ="safe").load(text) is not None, text


@pytest.mark.timeout(240)  # a page may have a dozen blocks, each a process of its own
def test_python_runs(page, tmp_path):
    """Each block runs by itself, one that begins `# test_….py` under pytest; what is not meant to run says ```text."""
    for number, code in enumerate(fenced(page, "python")):
        script = tmp_path / f"block_{number}.py"
        script.write_text(code)
        environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
        tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if code.startswith("# test_") else []
        run = [sys.executable, "-W", "error", *tests, str(script)]
        answer = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, f"{code}\n{answer.stdout}\n{answer.stderr}"


def test_python_says_that_it_is_python(page):
    """Code that is written out as something else would never be run."""
    hidden = [text for language in ("", "text", "console") for text in fenced(page, language) if PYTHON.search(text)]
    assert hidden == []


def test_every_contract_of_the_kit_is_on_the_page():
    said = (ROOT / "docs" / "how-to" / "add-a-plugin.md").read_text()
    modules = [path for member in members() for path in member.modules() if "testing" in (path.stem, path.parent.name)]
    classes = {
        f"{'.'.join(path.with_suffix('').parts[path.parts.index('src') + 1 :])}.{name}"
        for path in modules
        for name in re.findall(r"^class (\w+Contract)\b", path.read_text(), re.MULTILINE)
    }
    kept = {name.replace("driver_contract.", "contracts.") for name in classes}
    assert len(kept) > 8 and [name for name in kept if f"| `{name}` |" not in said] == []


def test_the_sieve_finds_what_it_looks_for(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A Page: one\n\n[x](y.md#z)\n\n```python\nprint(1)\n```\n\n- item\n  ```yaml\n  a: 1\n  ```\n")
    assert fenced(page, "python") == ["print(1)\n"]
    assert fenced(page, "yaml") == ["a: 1\n"]
    assert PYTHON.search("x\nasync def f(x):\n") and not PYTHON.search("import: of what is not Python\nclass act\n")
    assert LINK.findall(page.read_text()) == ["y.md#z"]
    assert anchors(page) == {"a-page-one"}
    with pytest.raises(AssertionError):
        test_links_lead_somewhere(page)
