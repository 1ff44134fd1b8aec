"""The locale decides nothing: what is written is UTF-8, what a screen cannot show it shows as a substitute."""

from __future__ import annotations

import json
import subprocess

import pytest

WORDS = "Grüße, 世界 ✉"
LOCALES = {
    "C": {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "POSIX": {"LC_ALL": "POSIX"},
}


@pytest.fixture(params=LOCALES)
def foreign(aegis, request):
    """A project in which everything runs in this locale, the kernel too."""
    settings = f"agents: {{ärger: {{provider: scripted, env: {{NAME: '{WORDS}'}}}}}}  # {WORDS}\n"
    (aegis.root / ".aegis.yaml").write_text(settings, encoding="utf-8")
    aegis.environment = {k: v for k, v in aegis.environment.items() if k != "LANG"} | LOCALES[request.param]
    return aegis


def bare(aegis, *words: str, code: int = 0) -> tuple[bytes, bytes]:
    """Return the bytes of standard output and of standard error."""
    command = [aegis.command, *(word.encode() for word in words)]
    done = subprocess.run(command, cwd=aegis.root, env=aegis.environment, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == code, done
    return done.stdout, done.stderr


def test_nothing_depends_on_the_locale(foreign):
    with foreign.serving():
        bare(foreign, "spawn", "ärger", "--handle", "ada")
        said, _ = bare(foreign, "send", "ada", WORDS, "--wait")
        assert b"You said: Gr" in said
        message = json.loads(bare(foreign, "--json", "message", "list")[0])["value"][0]
        assert message["body"] == WORDS, "JSON loses nothing"
        for command in (["read", "ada"], ["events", "ada"], ["message", "list"], ["sessions"], ["agents"], ["doctor"]):
            bare(foreign, *command)
        assert b"Gr" in bare(foreign, "message", "show", WORDS, code=4)[1]
        bare(foreign, "canvas", "open", "plan", "plän.md")
        bare(foreign, "canvas", "write", "plan", "Zürich", WORDS)
        assert b"Gr" in bare(foreign, "canvas", "read", "plan")[0]
        bare(foreign, "term", "spawn", "t")
        bare(foreign, "term", "run", "t", f"printf '%s\\n' '{WORDS}'")
    files = [path for path in (foreign.root / ".aegis").rglob("*") if path.suffix in (".jsonl", ".json", ".log", ".md")]
    texts = [path.read_bytes().decode("utf-8") for path in [*files, foreign.root / "plän.md"] if path.is_file()]
    assert sum(WORDS in text for text in texts) >= 3, "and files are UTF-8"
    assert WORDS in (foreign.root / "plän.md").read_text(encoding="utf-8")
