"""The section `plugins.records`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings


class RecordsSettings(Settings):
    """Settings of transcripts."""

    max_transcript: int = Field(
        32_000_000,
        ge=1_000,
        description="bytes of an agent's transcript; when it has them, a new one is begun and the last is kept",
    )
