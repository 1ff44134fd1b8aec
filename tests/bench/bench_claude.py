"""The real Claude Code before a scripted model: spawn to first reply and later turns, beside the bare CLI."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import projects
import trio
from rows import Aim, Row, report

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "live"))

import model_server  # noqa: E402 - of the tests with real CLIs

SPAWNS, TURNS = 4, 15
MODEL = "claude-sonnet-4-5"


def installed() -> Path:
    """Return where the real CLI would be: `make clis` puts it there."""
    return Path(os.environ.get("AEGIS_CLIS", ROOT / ".clis")) / "node_modules" / ".bin" / "claude"


def environment(home: Path, url: str) -> dict[str, str]:
    """Return what the CLI needs to speak to the scripted model and to nobody else."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "dummy", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1", "DISABLE_ERROR_REPORTING": "1", "IS_SANDBOX": "1",
    }  # fmt: skip


def bare(claude: str, folder: Path, url: str) -> tuple[float, list[float]]:
    """Return the ms from the start to the first reply of the CLI alone, and of later turns."""
    flags = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    prompt = {"type": "user", "message": {"role": "user", "content": "go"}}
    began, took = time.perf_counter(), []
    with subprocess.Popen(
        [claude, *flags, "--model", MODEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
        env=environment(folder, url), bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        for _ in range(TURNS):
            process.stdin.write(json.dumps(prompt).encode() + b"\n")
            while b'"type":"result"' not in process.stdout.readline():
                assert process.poll() is None, "the CLI has ended"
            took.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
        process.stdin.close()
    return took[0], took[1:]


async def ours(serving: projects.Serving) -> tuple[list[float], projects.Timing]:
    """Return the ms from each spawn to its first reply, and what a later turn takes."""
    first = []
    async with serving.client() as client:
        for number in range(SPAWNS):
            began = time.perf_counter()
            await client.call("spawn", {"agent": "real", "handle": f"agent-{number}"})
            await client.call("send", {"handle": f"agent-{number}", "text": "go", "wait": True})
            first.append((time.perf_counter() - began) * 1000)

        async def turn() -> None:
            await client.call("send", {"handle": "agent-0", "text": "go", "wait": True})

        return first, await serving.timed(turn, TURNS, warm=2)


def main() -> Iterator[Row]:
    """Yield the rows, or say why there are none."""
    claude = installed()
    if not claude.exists():
        print("the real Claude Code is not here (`make clis` installs it): left out", file=sys.stderr)
        return
    with projects.folder() as folder, model_server.running() as model:
        place = projects.Place(folder)
        variables = json.dumps(environment(place.home, model.url))
        real = f"  real: {{provider: claude-code, model: {MODEL}, command: [{claude.resolve()}], env: {variables}}}"
        config = place.root / ".aegis.yaml"
        config.write_text(config.read_text().replace("agents:\n", f"agents:\n{real}\n"))
        alone = [bare(str(claude.resolve()), place.home, model.url) for _ in range(3)]
        with place.serving() as serving:
            first, turn = trio.run(ours, serving)
    floor = statistics.median(start for start, _ in alone)
    later = statistics.median(took for _, turns in alone for took in turns)
    yield Row("real Claude Code: spawn to first reply", statistics.median(first), "ms", None, floor, [Aim(400)])
    yield Row("  a later turn", turn.p50, "ms", turn.cpu, later, [Aim(32)])


if __name__ == "__main__":
    report(main())
