"""What an agent without a script of its own does: it introduces itself, listens, and obeys simple orders."""

from __future__ import annotations

from typing import Any

_ORDERS = "`tell <handle> <text>`, `list`, `wait <seconds>`, `think <text>`, `ask <what>`, `edit <file> <text>`, `help`"

SCRIPT: list[dict[str, Any]] = [
    {
        "when": r"^tell (?P<who>\S+)\s+(?P<what>[\s\S]+)",
        "do": [
            {"call": "aegis_handoff", "args": {"target_handle": "{who}", "context": "{what}"}},
            {"say": "{reply}"},
        ],
    },
    {"when": r"^list\s*\Z", "do": [{"call": "aegis_list_sessions"}, {"say": "{reply}"}]},
    {"when": r"^wait (\d+(?:\.\d+)?)\s*\Z", "do": [{"wait": "{1}"}, {"say": "I waited {1} s."}]},
    {"when": r"^think (?P<what>[\s\S]+)", "do": [{"think": "{what}"}, {"say": "I thought about it."}]},
    {
        "when": r"^ask\b[ \t]*(?P<what>.*)",
        "do": [{"ask": "permission", "input": {"what": "{what}"}}, {"say": "The answer: {reply}"}],
    },
    {
        "when": r"^edit (?P<file>\S+)\s+(?P<text>[\s\S]+)",
        "do": [{"edit": "{file}", "text": "{text}"}, {"say": "{reply}"}],
    },
    {"when": r"^help\b", "do": [{"say": f"I obey: {_ORDERS}. Anything else I repeat."}]},
    {
        "when": r"^(?:hello|hi|hey|who are you)\b",
        "do": [{"say": f"Hello. I am {{handle}}, an agent without a model; I obey simple orders: {_ORDERS}."}],
    },
    {"when": r"\A> from (?:human|telegram)", "do": [{"say": "You said: {body}\n(`help` shows what I can do.)"}]},
    {"do": [{"say": "I have heard this from {sender}: {body}"}]},
]
