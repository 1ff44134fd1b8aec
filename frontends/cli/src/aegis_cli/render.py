"""Values as people read them: tables, aligned fields, plain text; or as one JSON object."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from textwrap import indent
from typing import Any, TextIO

from aegis.errors import AegisError
from aegis_printable.printable import printable, printable_json, printable_line

VERSION = 1  # of the JSON that `--json` prints
_LONGEST = 300  # columns of a cell, even where lines have no end: one long text would pad every other row
_TEXT, _NAME = 12, 40  # columns to which texts and names are not cut while a later column can be left out


def width_of(out: TextIO) -> int:
    """Return how many columns a line may have; without a terminal nothing is cut."""
    return shutil.get_terminal_size().columns if out.isatty() else sys.maxsize


def styled(text: str, code: str, out: TextIO) -> str:
    """Return the text in an ANSI style where the stream is a terminal that wants colour."""
    plain = not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not text else f"\x1b[{code}m{text}\x1b[0m"


def as_json(value: Any) -> str:
    """Return what `--json` prints for a value."""
    return json_text({"v": VERSION, "ok": True, "value": value})


def error_json(error: AegisError) -> str:
    """Return what `--json` prints for an error."""
    answer = {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    answer |= {"data": error.data} if error.data else {}
    return json_text({"v": VERSION, "ok": False, "error": answer})


def json_text(answer: dict[str, Any]) -> str:
    """Return the JSON; where standard output is not UTF-8 its characters are escapes, so that none is lost."""
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return printable_json(json.dumps(answer, ensure_ascii=not utf8))


def as_text(value: Any, width: int = sys.maxsize) -> str:
    """Return the value for people, no line wider than `width` where that can be helped."""
    if value is None:
        return ""
    if isinstance(value, list):
        if value and all(isinstance(row, dict) for row in value):
            return table(value, width)
        return "\n".join(_cell(item) if isinstance(item, dict | list) else as_text(item) for item in value)
    return fields(value) if isinstance(value, dict) else _scalar(value)


def table(rows: Sequence[dict[str, Any]], width: int = sys.maxsize) -> str:
    """Return rows as aligned columns; one that says nothing in any row is left out.

    Where they do not fit texts give way, then the last columns are left out: the first names the row.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [[name.replace("_", " "), *(_cell(row.get(name)) for row in rows)] for name in names]
    columns = [column for column in columns if any(column[1:])]
    columns, sizes = _fitting(columns, width)
    lines = (
        "  ".join(_fit(cell, size) for cell, size in zip(line, sizes, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    )
    return "\n".join(lines)


def _fitting(columns: list[list[str]], width: int) -> tuple[list[list[str]], list[int]]:
    """Return the columns that fit and how wide each is; `…` in the place of the last says that there are more."""
    sizes = [max(map(columns_of, column)) for column in columns]
    texts = [any(" " in cell for cell in column[1:]) for column in columns]
    least = [min(size, _TEXT if text and i else _NAME) for i, (size, text) in enumerate(zip(sizes, texts, strict=True))]
    kept = len(columns)
    while kept > 2 and sum(least[:kept]) + 2 * kept + (1 if kept < len(columns) else -2) > width:
        kept -= 1
    if kept < len(columns):
        columns, sizes = [*columns[:kept], ["…", *[""] * (len(columns[0]) - 1)]], [*sizes[:kept], 1]
    sizes = [min(size, _LONGEST) for size in sizes]
    while sum(sizes) + 2 * (len(sizes) - 1) > width and max(sizes[:kept], default=0) > 4:
        roomy = [i for i in range(kept) if sizes[i] > least[i]] or [i for i in range(1, kept) if sizes[i] > 4] or [0]
        sizes[max(roomy, key=sizes.__getitem__)] -= 1
    return columns, sizes


def fields(value: dict[str, Any]) -> str:
    """Return an object as aligned names and values; texts of several lines stand below, set apart."""
    shown = {name.replace("_", " "): v for name, v in value.items() if v not in (None, "", [], {})}
    long = {name: v for name, v in shown.items() if isinstance(v, str) and "\n" in v.strip()}
    size = max((columns_of(n) for n in shown if n not in long), default=0)
    lines = [
        f"{_fit(name, size)}  {_cell(v) if isinstance(v, dict | list) else printable_line(_scalar(v).strip())}"
        for name, v in shown.items()
        if name not in long
    ]
    below = (indent(printable(text.rstrip()), "  ") for text in long.values())
    return "\n".join([*lines, *(f"\n{text}" for text in below)])


def columns_of(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _fit(text: str, size: int) -> str:
    if len(text) > 2 * size:  # combining characters take no column
        text = text[: 2 * size]
    if columns_of(text) > size:
        while columns_of(text) > size - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (size - columns_of(text))


def _cell(value: Any) -> str:
    if value is False or value is None or value in ("", [], {}):
        return ""  # zero is something
    if isinstance(value, dict):
        return ", ".join(f"{printable_line(str(k))}: {_cell(v)}" for k, v in value.items() if v not in (None, ""))
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return printable_line(" ".join(_scalar(value).split()))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
