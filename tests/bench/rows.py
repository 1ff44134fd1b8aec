"""What a benchmark finds: rows with a figure beside its floor, and curves at three sizes; and how they are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FILE = "AEGIS_BENCH_ROWS"  # where a benchmark that `make bench` started writes what it found
_HEAD = ("what", "figure", "CPU", "floor", "ratio", "aim")
_WIDTHS = (66, 15, 14, 15, 11, 20)


@dataclass(frozen=True)
class Aim:
    """The most that a figure, its CPU time in ms or its ratio to the floor is to be; `least` where more is better."""

    value: float
    of: Literal["figure", "cpu", "ratio"] = "figure"
    least: bool = False


@dataclass(frozen=True)
class Row:
    """One figure. `cpu` is the kernel's own CPU time for one operation, in ms; `more` says that more is better."""

    what: str
    figure: float
    unit: str = "ms"
    cpu: float | None = None
    floor: float | None = None
    aims: Sequence[Aim] = ()
    more: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times the floor it is."""
        if not self.floor or not self.figure:
            return None
        return self.floor / self.figure if self.more else self.figure / self.floor

    def misses(self, aim: Aim) -> bool:
        """Return whether it does not reach the aim."""
        value = {"figure": self.figure, "cpu": self.cpu, "ratio": self.ratio}[aim.of]
        return value is None or (value < aim.value if aim.least else value > aim.value)

    def cells(self) -> tuple[str, ...]:
        """Return what stands in each column."""
        said = []
        for aim in self.aims:
            unit = {"figure": f" {self.unit}", "cpu": " ms CPU", "ratio": "×"}[aim.of]
            said.append(f"{'≥' if aim.least else '≤'} {aim.value:g}{unit}{' (missed)' if self.misses(aim) else ''}")
        return (
            self.what, f"{number(self.figure)} {self.unit}", "" if self.cpu is None else f"{number(self.cpu)} ms",
            "" if self.floor is None else f"{number(self.floor)} {self.unit}",
            "" if self.ratio is None else f"{self.ratio:.2f}×", ", ".join(said),
        )  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """How a figure changes with a size, at three of them; `flat` says that it is meant not to."""

    what: str
    of: str
    points: dict[str, float]
    unit: str = "ms"
    flat: bool = True

    def cells(self) -> tuple[str, ...]:
        """Return what stands in each column."""
        first, *_, last = self.points.values()
        grown = last / first if first else 0
        words = "" if not self.flat else "flat" if grown < 1.5 else "flat (missed)"
        points = tuple(f"{size}: {number(figure)}" for size, figure in self.points.items())
        return (f"{self.what}, by {self.of}, {self.unit}", *points, *[""] * (3 - len(points)), f"{grown:.2f}×", words)


Found = Row | Curve


def number(figure: float) -> str:
    """Return it with three figures that count."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def line(cells: Iterable[str]) -> str:
    """Return one line of the table for a terminal."""
    first, *others = cells
    return f"{first:<{_WIDTHS[0]}}" + "".join(f" {c:>{w}}" for c, w in zip(others, _WIDTHS[1:], strict=True))


def tables(found: Sequence[Found]) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Return title, head and lines of the figures, then of the curves."""
    rows = [f.cells() for f in found if isinstance(f, Row)]
    curves = [f.cells() for f in found if isinstance(f, Curve)]
    head = ("curve", "small", "middle", "large", "large/small", "aim")
    return [t for t in (("figures", _HEAD, rows), ("curves", head, curves)) if t[2]]


def show(found: Sequence[Found]) -> None:
    """Print one table: the figures, then the curves."""
    for _, head, lines in tables(found):
        print(line(head))
        for cells in lines:
            print(line(cells))
        print()


def report(found: Iterable[Found]) -> None:
    """Show what a benchmark finds, or hand it to the run that started it."""
    if file := os.environ.get(FILE):
        with Path(file).open("a", encoding="utf-8") as out:
            for one in found:
                out.write(json.dumps([type(one).__name__, asdict(one)]) + "\n")
                out.flush()
    else:
        show(list(found))


def read(file: Path) -> list[Found]:
    """Return what was handed over."""
    found: list[Found] = []
    for text in file.read_text(encoding="utf-8").splitlines():
        kind, said = json.loads(text)
        if kind == "Row":
            said["aims"] = tuple(Aim(**aim) for aim in said["aims"])
        found.append({"Row": Row, "Curve": Curve}[kind](**said))
    return found
