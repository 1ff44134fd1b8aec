"""Where the real ACP agents play: environments without anything of ours, and the scenes of the driver contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model_server import Block, Model, Rule, text, thinking


def _scrubbed(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8"}


def gemini_environment(home: Path, model: Model) -> dict[str, str]:
    """Return a whole environment for Gemini CLI, whose only model is the scripted one."""
    settings = {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    environment = _scrubbed(home) | {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": model.url}
    (home / ".gemini").mkdir(exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    return environment


def opencode_environment(home: Path, model: Model) -> dict[str, str]:
    """Return a whole environment for OpenCode, whose only model is the scripted one."""
    scripted = {"limit": {"context": 200_000, "output": 8_192}, "cost": {"input": 3, "output": 15, "cache_read": 0.3}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{model.url}/v1", "apiKey": "dummy"},
        "models": {"scripted": scripted},
    }
    config = {"small_model": "probe/scripted", "enabled_providers": ["probe"], "provider": {"probe": provider}}
    offline = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    switches = {f"OPENCODE_DISABLE_{what}": "1" for what in offline}
    return _scrubbed(home) | switches | {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}


def scenes(write: Block, shell: Block, whoami: Block) -> list[Rule]:
    """Return the scenes of `aegis.testing.scenarios`, for a model; what is said by mail is indented."""
    first, second = ({"input_tokens": 5, "output_tokens": 2}, {"input_tokens": 7, "output_tokens": 3})
    rules: list[dict[str, Any]] = [
        {"when": r"(?m)^(?:  )?one$", "say": [thinking("hm"), text("the first answer")], "usage": first},
        {"when": r"(?m)^(?:  )?two$", "say": "the second answer", "usage": second},
        {"when": r"(?m)^(?:  )?primer$", "say": "I was told: {user}"},
        {"when": r"(?m)^(?:  )?again$", "say": "turn {turn}; before: {before}"},
        {"when": r"(?m)^(?:  )?whoami$", "say": [whoami]},
        {"when": r"(?m)^(?:  )?edit$", "say": [write]},
        {"when": r"(?m)^(?:  )?hang$", "say": "begun", "hang": True},
        {"when": r"(?m)^(?:  )?shell$", "say": [shell]},
        {"when": r"(?m)^(?:  )?fail$", "error": 400, "message": "the model is overloaded"},
        {"on": "tool_result", "say": "{reply}"},
    ]
    return rules
