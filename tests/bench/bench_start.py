"""How long a command takes to start, beside what the interpreter and fastmcp take by themselves.

Each row is the median of interleaved runs: figure, floor measured in the same run, ratio, and what is aimed at.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

AEGIS = str(Path(sys.executable).with_name("aegis"))
SHORT, LONG = 15, 5  # runs


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.run([AEGIS, "--help"])  # gathers the index
        time.sleep(2.1)  # an index younger than that is not kept
        place.run([AEGIS, "--help"])
        bare = [sys.executable, "-c", "pass"]
        print(f"{'what':<54}{'figure':>10}{'floor':>10}{'ratio':>8}  aim")
        row("aegis --version / bare interpreter", place, [AEGIS, "--version"], bare, "≤ 3×")
        row("aegis --help / bare interpreter", place, [AEGIS, "--help"], bare, "≤ 6×")
        fastmcp = [sys.executable, "-c", "from fastmcp import FastMCP"]
        figure, floor = interleaved(place.served, lambda: place.run(fastmcp), LONG)
        show("aegis serve until the plane answers / FastMCP imported", figure, floor, "≤ 1.3×")
        with place.serving():
            row("aegis sessions / bare interpreter", place, [AEGIS, "sessions"], bare, "")
            row("aegis --help, kernel running / bare interpreter", place, [AEGIS, "--help"], bare, "≤ 6×")


class Place:
    """A project and a home of their own."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
            "LANG": "C.UTF-8",
        }  # fmt: skip

    def run(self, words: Sequence[str]) -> float:
        """Return the seconds the command took."""
        began = time.perf_counter()
        subprocess.run(words, cwd=self.project, env=self._environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    def served(self) -> float:
        """Return the seconds until a kernel answered; it has ended again."""
        began = time.perf_counter()
        with self.serving():
            return time.perf_counter() - began

    @contextmanager
    def serving(self):
        """Have a kernel running whose services are up."""
        server = subprocess.Popen(
            [AEGIS, "serve"], cwd=self.project, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith("aegis runs in")
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)


def interleaved(figure: Callable[[], float], floor: Callable[[], float], runs: int) -> tuple[float, float]:
    """Return the medians of both, measured in turns so that a busy machine is unfair to neither."""
    pairs = [(figure(), floor()) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def row(what: str, place: Place, words: Sequence[str], bare: Sequence[str], aim: str) -> None:
    """Measure a command beside the bare interpreter and print the row."""
    show(what, *interleaved(lambda: place.run(words), lambda: place.run(bare), SHORT), aim)


def show(what: str, figure: float, floor: float, aim: str) -> None:
    """Print one row, in milliseconds."""
    print(f"{what:<54}{figure * 1e3:>8.0f}ms{floor * 1e3:>8.0f}ms{figure / floor:>7.1f}×  {aim}")


if __name__ == "__main__":
    main()
