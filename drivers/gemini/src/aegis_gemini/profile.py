"""The keys of a Gemini CLI profile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aegis_acp.profile import AcpProfile


class GeminiProfile(AcpProfile):
    """A profile with `provider: gemini`."""

    provider: Literal["gemini", "gemini-cli"] = Field("gemini", description="which driver runs it")
    command: list[str] = Field(["gemini"], min_length=1, description="how Gemini CLI is started here")
