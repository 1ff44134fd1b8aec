"""aegis: one process that drives coding-agent CLIs and gives them ways to work together.

What this package exports is what a plugin author imports (`__init__.pyi` lists it); a name is loaded when it is first
used, so that `aegis --help` is quick.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


@cache
def _homes() -> dict[str, str]:
    stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    return {name: home for home, name in re.findall(r"^from ([\w.]+) import (\w+) as", stub, re.MULTILINE)}


def __getattr__(name: str) -> Any:
    if name not in _homes():
        raise AttributeError(f"module 'aegis' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_homes()[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*_homes(), "__version__"])
