"""The project's own workflow files, named by `workflows.files`: read when needed, and again once changed."""

from __future__ import annotations

import sys
import traceback
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from aegis import ConfigError
from aegis_workflow.catalogue import Function, reading


class ProjectFiles:
    """Python files of a project; what they decorate with `@workflow` is offered."""

    def __init__(self, root: Path, patterns: Callable[[], Sequence[str]]) -> None:
        """`patterns` returns what `workflows.files` says now."""
        self._root, self._patterns = root, patterns
        self._read: dict[Path, tuple[int, dict[str, Function]]] = {}

    def functions(self) -> dict[str, Function]:
        """Return every workflow by the name it is looked up by; raises `ConfigError` for a file that does not run."""
        found: dict[str, Function] = {}
        for path in sorted({path for pattern in self._patterns() for path in self._root.glob(pattern)}):
            changed, known = path.stat().st_mtime_ns, self._read.get(path)
            if known is None or known[0] != changed:
                known = self._read[path] = changed, self._run(path)
            for name, function in known[1].items():
                if name in found:
                    raise ConfigError(f"{path.relative_to(self._root)}: another file has a workflow {name!r}, too")
                found[name] = function
        return found

    def _run(self, path: Path) -> dict[str, Function]:
        module = ModuleType(f"aegis_project_{zlib.crc32(str(path).encode()):08x}")
        module.__file__, sys.modules[module.__name__] = str(path), module  # dataclasses look their module up there
        with reading() as found:
            try:
                exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), module.__dict__)
            except Exception as error:  # anybody's code
                lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
                line = (error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1) or 1
                where = f"{path.relative_to(self._root)}:{line}"
                raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
        return found
