"""The console script. Nothing is imported before it is known what is asked: `aegis --version` is one start."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    if argv is None and sys.getfilesystemencoding() != "utf-8":
        _again_in_utf8()
    words = sys.argv[1:] if argv is None else list(argv)
    if words == ["--version"]:
        from aegis import __version__  # noqa: PLC0415 - start-up time

        print(f"aegis {__version__}")
        return 0
    gc.set_threshold(200_000, 20, 50)  # what is made in a start stays: looking for garbage in it finds none
    from aegis_cli.shell import run  # noqa: PLC0415 - start-up time

    return run(words)


def _again_in_utf8() -> None:
    """Begin again where names of files, arguments and variables are UTF-8, whatever the locale says of them."""
    import os  # noqa: PLC0415 - only in rare locales

    os.execv(sys.executable, [sys.executable, "-X", "utf8", "-X", f"screen={sys.stdout.encoding}", *sys.orig_argv[1:]])
