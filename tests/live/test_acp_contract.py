"""The real Gemini CLI and OpenCode keep the same contract as the fake ACP agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acp_stage import gemini_environment, opencode_environment, scenes
from model_server import Model, tool_use

from aegis.events import Usage
from aegis.testing.contracts import DriverContract
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver

WILD = "a real CLI cannot be made to misbehave; that the driver bears it is shown with the fake one"
UNSTAGED = dict.fromkeys(("die", "kill", "exit", "mute", "flood", "malformed", "long", "deaf"), WILD)


@pytest.mark.timeout(150)  # it may not be resumed in the minute of its start
class TestGemini(DriverContract):
    unstaged = UNSTAGED
    bill = ((Usage(5, output=2), None), (Usage(7, output=3), None))  # it says no costs

    @pytest.fixture
    def driver(self) -> GeminiDriver:
        return GeminiDriver()

    @pytest.fixture
    def environment(self, tmp_path: Path, model: Model) -> dict[str, str]:
        return gemini_environment(tmp_path / "home", model)

    @pytest.fixture
    def stage(self, gemini: str, model: Model) -> dict[str, Any]:
        write = tool_use("write_file", file_path="note.txt", content="written")
        shell = tool_use("run_shell_command", command="exec tail -f /dev/null", description="")
        model.follow(*scenes(write, shell, tool_use("mcp_aegis_whoami")))
        return {"command": [gemini], "model": "gemini-2.5-pro"}


class TestOpenCode(DriverContract):
    unstaged = UNSTAGED | {"fail": 'it repeats every request for which the model is "overloaded", whatever the status'}
    bill = ((Usage(5, output=2), 4.5e-5), (Usage(7, output=3), 6.6e-5))  # at $3 and $15 a million tokens

    @pytest.fixture
    def driver(self) -> OpenCodeDriver:
        return OpenCodeDriver()

    @pytest.fixture
    def environment(self, tmp_path: Path, model: Model) -> dict[str, str]:
        return opencode_environment(tmp_path / "home", model)

    @pytest.fixture
    def stage(self, opencode: str, model: Model, tmp_path: Path) -> dict[str, Any]:
        write = tool_use("write", filePath=str(tmp_path / "work" / "note.txt"), content="written")
        shell = tool_use("bash", command="exec tail -f /dev/null", description="")
        model.follow(*scenes(write, shell, tool_use("aegis_whoami")))
        return {"command": [opencode], "model": "probe/scripted"}
