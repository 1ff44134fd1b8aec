"""The real Claude Code keeps the same contract as the fake one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from model_server import Model, text, thinking, tool_use
from stage import scrubbed

from aegis.events import Usage
from aegis.testing.contracts import DriverContract
from aegis_claude.driver import ClaudeDriver

# The scenes of `aegis.testing.scenarios`, for a model: the CLI around it is real. The body of mail is indented.
SCENES: list[dict[str, Any]] = [
    {
        "when": r"(?m)^(?:  )?one$",
        "say": [thinking("hm"), text("the first answer")],
        "usage": {"input_tokens": 5, "output_tokens": 2},
    },
    {"when": r"(?m)^(?:  )?two$", "say": "the second answer", "usage": {"input_tokens": 7, "output_tokens": 3}},
    {"when": r"(?m)^(?:  )?primer$", "say": "I was told: {system}"},
    {"when": r"(?m)^(?:  )?again$", "say": "turn {turn}; before: {before}"},
    {"when": r"(?m)^(?:  )?whoami$", "say": [tool_use("mcp__aegis__whoami")]},
    {"when": r"(?m)^(?:  )?edit$", "say": [tool_use("Write", file_path="note.txt", content="written")]},
    {"when": r"(?m)^(?:  )?hang$", "say": "begun", "hang": True},
    {"when": r"(?m)^(?:  )?shell$", "say": [tool_use("Bash", command="exec tail -f /dev/null", description="")]},
    {"when": r"(?m)^(?:  )?fail$", "error": 400, "message": "the model is overloaded"},
    {"on": "tool_result", "say": "{reply}"},
]
WILD = "a real CLI cannot be made to misbehave; that the driver bears it is shown with the fake one"


class TestClaude(DriverContract):
    unstaged = dict.fromkeys(("die", "kill", "exit", "mute", "flood", "malformed", "long"), WILD)
    # It may say the end of its turn while it is ended itself, when its tool was ended under it.
    cut_off: ClassVar = {"deaf": ("interrupted", "completed")}
    bill = ((Usage(5, output=2), 4.5e-5), (Usage(7, output=3), 6.6e-5))  # at $3 and $15 a million tokens

    @pytest.fixture
    def driver(self) -> ClaudeDriver:
        return ClaudeDriver()

    @pytest.fixture
    def environment(self, tmp_path: Path, model: Model) -> dict[str, str]:
        (tmp_path / "home").mkdir()
        return scrubbed(tmp_path / "home", model)

    @pytest.fixture
    def stage(self, claude: str, model: Model) -> dict[str, Any]:
        model.follow(*SCENES)
        return {"command": [claude], "model": "claude-sonnet-4-5"}
