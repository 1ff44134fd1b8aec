"""The hook that aegis-records publishes."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import hookspec


@hookspec
def aegis_mirrors() -> Iterable[tuple[str, str]]:  # type: ignore[empty-body]
    """Return pairs of a book and the file it is mirrored to, `("queue", "queues/{queue}.jsonl")`.

    A field of the records in braces, or `{key}`, gives one file for each of its values; a book that nobody speaks of,
    and a record without that field, is mirrored to `books/<book>.jsonl`.
    """
