"""Every benchmark, each in a process of its own: `python -m tests.bench [NAME…]`. Figures are printed, not asserted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from aegis_trust.trust import FOLDERS


def main(names: list[str]) -> int:
    """Run the benchmarks whose file name holds one of the names, or all, and return how many could not run."""
    files = sorted(Path(__file__).parent.glob("bench_*.py"))
    chosen = [f for f in files if not names or any(name in f.stem for name in names)]
    if not chosen:
        print(f"no benchmark is called {' or '.join(names)} (there are: {', '.join(f.stem for f in files)})")
        return 2
    trusted = {FOLDERS: os.pathsep.join((str(Path.cwd()), tempfile.gettempdir()))}
    return sum(
        subprocess.run([sys.executable, str(f)], env=os.environ | trusted, check=False).returncode != 0 for f in chosen
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
