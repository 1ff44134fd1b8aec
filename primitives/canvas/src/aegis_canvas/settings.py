"""The section `plugins.canvas`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings


class CanvasSettings(Settings):
    """What canvases may do."""

    outside: bool = Field(default=False, description="canvases may lie outside the project")
