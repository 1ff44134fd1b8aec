"""Figures as pages: a short history in docs/reference/benchmarks.md, the newest in docs/explanation/scale.md."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil
import rows

DOCS = Path(__file__).parents[2] / "docs"
PAGE, SCALE = DOCS / "reference" / "benchmarks.md", DOCS / "explanation" / "scale.md"
CROWD = "live agents"  # what the curves of the page on scale go by
_BEGIN, _END = "<!-- figures: written by `make bench ARGS=--record` -->", "<!-- /figures -->"
KEPT = 5  # runs
_HEAD = """# Benchmarks

<!-- written by `make bench ARGS=--record` -->

What operations cost, each beside the least that the same work costs without aegis, measured in the same run: every
plugin of the default set is loaded, agents are programs in C that answer at once, and the floor of the agents' plane is
FastMCP on uvicorn. `CPU` is the kernel's own time for one operation, with what it puts off. Figures of other machines
differ; ratios hardly do. `make bench` prints the same; [how it scales](../explanation/scale.md) says where it bends.
"""
_RUN = "\n## "


def machine() -> str:
    """Describe the machine in a sentence."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        named = [
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        model = named[0] if named else model
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}; load {load:.1f} at the end."
    )


def write(found: Sequence[rows.Found], failed: Sequence[str], *, anew: bool) -> Path:
    """Put this run before the others on the page, or alone; and the crowd's curves on the page on scale."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    now = datetime.datetime.now(datetime.UTC)
    parts = [f"{now:%Y-%m-%d}, at {commit.stdout.strip() or 'no commit'}", "", machine()]
    if failed:
        parts.append(f"These could not run: {', '.join(failed)}.")
    for title, head, lines in rows.tables(found):
        parts += ["", f"### {title.capitalize()}", "", *_table(head, lines)]
    before = PAGE.read_text(encoding="utf-8").split(_RUN)[1:] if PAGE.exists() and not anew else []
    PAGE.write_text(_RUN.join([_HEAD, *["\n".join(parts) + "\n", *before][:KEPT]]), encoding="utf-8")
    if crowd := [one for one in found if isinstance(one, rows.Curve) and one.of == CROWD]:
        [(_, head, lines)] = rows.tables(crowd)
        text = SCALE.read_text(encoding="utf-8")
        begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
        said = "\n".join(["", "", f"{now:%Y-%m-%d}: {machine()}", "", *_table(head, lines), "", ""])
        SCALE.write_text(text[:begin] + said + text[end:], encoding="utf-8")
    return PAGE


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *map(_line, lines)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"
