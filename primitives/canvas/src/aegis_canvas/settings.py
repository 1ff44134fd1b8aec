"""The section `plugins.canvas`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings


class CanvasSettings(Settings):
    """Settings of canvases."""

    folders: tuple[str, ...] = Field(
        default=("docs", "notes"), description="folders of the project in which agents may open canvases unasked"
    )
    max_sections: int = Field(default=1_000, ge=1, description="sections of one canvas, at most")
    outside: bool = Field(default=False, description="whether canvases may be outside the project")
