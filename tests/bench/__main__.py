"""Every benchmark, each in a process of its own, and one table at the end: `python -m tests.bench [--record] [NAME…]`.

Figures are printed, not asserted. `--record` also writes them to docs/reference/benchmarks.md, as the newest of a few,
and to docs/explanation/scale.md; with `--anew` as the only one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aegis_trust.trust import FOLDERS

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import record  # noqa: E402 - each benchmark is a program, and so is this
import rows  # noqa: E402 - the same

BY_NAME_ONLY = {"bench_limits", "bench_connections", "bench_scale"}  # minutes each, of floods and crowds
RECORDED = {"bench_scale"}  # of these, what is recorded all the same
PATIENCE = 400  # seconds for one


def main(words: list[str]) -> int:
    """Run the benchmarks whose file name holds one of the names, or all; return how many could not run."""
    names = [word for word in words if not word.startswith("-")]
    files = sorted(FOLDER.glob("bench_*.py"))
    left_out = BY_NAME_ONLY - (RECORDED if "--record" in words else set())
    chosen = [f for f in files if any(name in f.stem for name in names) or not (names or f.stem in left_out)]
    if not chosen:
        print(f"no benchmark is called {' or '.join(names)} (there are: {', '.join(f.stem for f in files)})")
        return 2
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "rows"
        found.touch()
        trusted = {FOLDERS: os.pathsep.join((str(Path.cwd()), tempfile.gettempdir())), rows.FILE: str(found)}
        for file in chosen:
            began = time.monotonic()
            try:
                done = subprocess.run(
                    [sys.executable, str(file)], env=os.environ | trusted, check=False, timeout=PATIENCE
                )
                good = done.returncode == 0
            except subprocess.TimeoutExpired:
                good = False
            failed += [] if good else [file.stem]
            said = f"{file.stem} {'took' if good else 'FAILED after'} {time.monotonic() - began:.0f} s"
            print(said, file=sys.stderr, flush=True)
        results = rows.read(found)
    print()
    rows.show(results)
    if "--record" in words:
        print(f"written to {record.write(results, failed, anew='--anew' in words)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
