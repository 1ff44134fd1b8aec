"""A fake `claude` in C, for counts and benchmarks: it starts in about a millisecond and answers at once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("quick.c")


def compiler() -> str | None:
    """Return the C compiler here, None when there is none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiled(folder: Path) -> str:
    """Return the path of the program, built into this folder; `quick.c` says which flags of its own it takes."""
    program = folder / "claude"
    subprocess.run([compiler() or "cc", "-O1", "-o", str(program), str(_SOURCE)], check=True)
    return str(program)
